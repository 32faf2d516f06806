/**
 * How far the heap of a server's process may grow between two full collections.
 *
 * V8 counts buffers toward the limit of its heap, though they lie outside of it. A server's heap is small, some 25 MB, and by itself V8 lets it grow by as much again:
 * a few dozen values of 64 KiB on their way from the network to the log and the other nodes, and all that lives was marked anew. That took more than half of the CPU time of
 * such writes. Now it may become four times what lives, which is up to 75 MB more in such a process.
 *
 * For the whole process, so only for one that is a server and nothing else. Called by commands/server.ts.
 */
import { setFlagsFromString } from 'node:v8';

const GROWTH_PERCENT = 300;

/** V8 reads it at the end of each collection: it may be set at any time. */
export function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
