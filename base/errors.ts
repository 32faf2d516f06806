/**
 * The one error class of the project. `kind` tells a caller what to do next; `code` is stable and machine-readable;
 * `details` are JSON-safe facts (field, limit, file, offset, current version ...).
 *
 * | kind        | what the caller does                 | examples of codes                                   |
 * |-------------|--------------------------------------|-----------------------------------------------------|
 * | invalid     | fix the call                         | KEY_EMPTY KEY_TOO_LARGE VALUE_TOO_LARGE OPTION_UNKNOWN |
 * | conflict    | read again, decide again             | CONDITION_FAILED                                     |
 * | rerouted    | refresh the route                    | NOT_LEADER                                           |
 * | unavailable | retry after a pause                  | NO_LEADER TIMEOUT SHUTTING_DOWN                      |
 * | exhausted   | send less                            | OVERLOADED DISK_FULL                                 |
 * | closed      | open again                           | ENGINE_CLOSED WRITER_FAILED SNAPSHOT_RELEASED        |
 * | corrupt     | stop; repair                         | CORRUPT_LOG CORRUPT_TABLE CORRUPT_MANIFEST           |
 * | cancelled   | nothing: the caller asked for it     | ABORTED                                              |
 * | internal    | report a bug                         | INTERNAL ASSERTION                                   |
 */
export type ErrorKind = 'invalid' | 'conflict' | 'rerouted' | 'unavailable' | 'exhausted' | 'closed' | 'corrupt' | 'cancelled' | 'internal';

export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

export class SparrowError extends Error {
  readonly kind: ErrorKind;
  /** Stable, upper snake case. */
  readonly code: string;
  readonly details: ErrorDetails;

  constructor(kind: ErrorKind, code: string, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'SparrowError';
    this.kind = kind;
    this.code = code;
    this.details = details;
  }
}
