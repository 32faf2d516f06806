export type { Background, FlushJob, FlushResult, OnEnd } from './background.ts';
export { InlineBackground } from './inline-background.ts';
export { WorkerPool } from './worker-pool.ts';
