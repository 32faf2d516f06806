/** The linearizability checker: check.ts is the place to start. */
export { check, type Verdict, VISITED_MAX } from './check.ts';
export { History, type Invocation, type Operation, type Response } from './history.ts';
export type { Model } from './model.ts';
export { appendListModel, type AppendInput, type AppendOutput } from './models/append-list.ts';
export { bankModel, type BankInput, type BankOutput } from './models/bank.ts';
export { counterModel, type CounterInput, type CounterOutput } from './models/counter.ts';
export { registerModel, type RegisterInput, type RegisterOutput } from './models/register.ts';
export { setModel, type SetInput, type SetOutput } from './models/set.ts';
