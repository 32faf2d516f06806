/** The store as files, as users see it: what checkpoints and inspections take and answer. Types only. */

export interface CheckpointOptions {
  /** Copy files where they cannot be linked (another file system) instead of refusing. */
  copy?: boolean;
}

export interface CheckpointResult {
  directory: string;
  files: number;
  /** Bytes of files that are the engine's own under a second name, and of those that were copied. */
  linkedBytes: number;
  copiedBytes: number;
}

export interface InspectOptions {
  /** Called now and then with the bytes looked at so far. */
  onProgress?: (bytes: number) => void;
  /** `cancelled/ABORTED` when it is aborted. */
  signal?: AbortSignal;
}

/** Something at a place in a file. `what` is one sentence without a capital or a full stop. */
export interface Finding {
  /** Path. */
  readonly file: string;
  /** Bytes from the file's start; 0 where no place is meant. */
  readonly offset: number;
  readonly what: string;
}

export interface VerifyReport {
  readonly directory: string;
  /** No problems. */
  readonly sound: boolean;
  /** Damage; the first thousand. */
  readonly problems: readonly Finding[];
  readonly problemCount: number;
  /** Worth knowing, harmless; the first thousand. */
  readonly notices: readonly Finding[];
  readonly noticeCount: number;
  /** What was read. */
  readonly files: number;
  readonly bytes: number;
  readonly tables: number;
  readonly entries: number;
  /** Large values that tables refer to. */
  readonly values: number;
  readonly valueBytes: number;
  readonly logSegments: number;
  readonly batches: number;
  /** Of the newest batch. */
  readonly lastSequence: number;
}
