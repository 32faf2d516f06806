/** Stores made of stores: checkpoints. */
export { makeCheckpoint } from './checkpoint.ts';
