/** The kinds of work behind that the I/O budget tells apart (background/io-budget.ts); in metrics too. */
export const IO_KINDS = ['flush', 'compaction', 'backup', 'checkpoint', 'ingest', 'restore', 'verify'] as const;
export type IoKind = (typeof IO_KINDS)[number];
