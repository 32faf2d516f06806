/** What an inspection of a store's files found: data, bounded, in the order in which it came up. */
import { SparrowError } from '../../base/errors.ts';
import type { Finding } from '../files-api.ts';

/** So many are kept of each kind; the rest is counted. */
export const FINDINGS_MAX = 1000;

export class Findings {
  /** Damage: something that was on disk is not what was written. */
  readonly problems: Finding[] = [];
  /** Harmless: the torn end of a log, files that belong to nothing. */
  readonly notices: Finding[] = [];
  #problemCount = 0;
  #noticeCount = 0;

  get problemCount(): number {
    return this.#problemCount;
  }
  get noticeCount(): number {
    return this.#noticeCount;
  }

  problem(file: string, offset: number, what: string): void {
    if (this.#problemCount++ < FINDINGS_MAX) this.problems.push({ file, offset, what });
  }

  notice(file: string, offset: number, what: string): void {
    if (this.#noticeCount++ < FINDINGS_MAX) this.notices.push({ file, offset, what });
  }

  /** Takes what went wrong with `file` as a problem when it is the file's fault; anything else is thrown on. */
  caught(error: unknown, file: string): void {
    if (error instanceof SparrowError && (error.kind === 'corrupt' || error.code.startsWith('FORMAT_'))) {
      const { file: named, offset } = error.details;
      const at = typeof named === 'string' ? named : file;
      this.problem(at, typeof offset === 'number' ? offset : 0, withoutPlace(error.message, at));
    } else if (isSystemError(error)) this.problem(file, 0, `it cannot be read: ${error.message}`);
    else throw error;
  }
}

/** A message that begins with its place says what is wrong behind that. */
export function withoutPlace(message: string, file: string): string {
  if (!message.startsWith(`${file} is corrupt at offset `)) return message;
  return message.slice(message.indexOf(': ', file.length) + 2);
}

/** An answer of the operating system about a file. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && typeof (error as NodeJS.ErrnoException).code === 'string';
}
