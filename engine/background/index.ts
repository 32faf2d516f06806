export type { Background, FlushJob, FlushResult, OnEnd } from './background.ts';
export { InlineBackground } from './inline-background.ts';
export { WorkerPool } from './worker-pool.ts';
export { IO_BUDGET_BYTES, IoBudget } from './io-budget.ts';
export { IoTuner } from './io-tuner.ts';
export { UpkeepIo } from './upkeep-io.ts';
