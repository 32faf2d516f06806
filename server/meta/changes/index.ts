/** Changes of the topology: pure functions that check what is asked and answer what is to be written. Nothing has happened until that is persisted. */
export { cancelOperator, advanceOperators, orderEnded, startOperators } from './operators.ts';
export { registerNode, setDuty, setHealth } from './nodes.ts';
export { setPolicy } from './policies.ts';
export { takeReport } from './reports.ts';
export { takeStrays } from './strays.ts';
export { TABLE_LIMITS, type TableSpec } from './table-spec.ts';
export { alterTable, createTable, type CreatedTable, dropTable, purgeTables, undeleteTable } from './tables.ts';
