/** What should be done about the cluster: pure. plan.ts is the place to start, docs/placement.md the guide. */
export { type Departure, departures } from './departure.ts';
export { diagnose } from './diagnosis.ts';
export { type NodeVerdict, type Probing, unheard } from './health.ts';
export { askMerge, askMove, askSplit, askTransfer } from './manual.ts';
export { type NewPlace, placeNew } from './new-shards.ts';
export { type Plan, plan } from './plan.ts';
export { nodesTouched, plannedLeader, plannedReplicas } from './planned.ts';
export { CAUGHT_UP_LAG, hopeless, isDone, ordersOf, type OrderTo, stepOfOrder, stepReached, successorOf } from './progress.ts';
export { type Blocked, type Proposal, Round } from './round.ts';
export { sizeClassOf } from './size.ts';
export { stepText } from './steps.ts';
export { onwardOf, undoOf } from './undo.ts';
