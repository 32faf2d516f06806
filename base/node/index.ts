/** The environment of base/env.ts as Node and the operating system give it. The only way in to this folder. */
export { NodeClock, processMs } from './node-clock.ts';
export { NodeFileSystem } from './node-file-system.ts';
export { NodeRandom } from './node-random.ts';
export { NodeScheduler } from './node-scheduler.ts';
export { LOCK_NAME, LOCK_OWNER_NAME } from './directory-lock.ts';
export { nodeZstd } from './node-zstd.ts';
