export type { Background, FlushJob, FlushResult, OnEnd } from './background.ts';
export { InlineBackground } from './inline-background.ts';
export { WorkerBackground } from './worker-background.ts';
