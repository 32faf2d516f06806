/**
 * How far the memory of a server's process may grow between two full collections.
 *
 * V8 begins one when buffers, which lie outside of its heap, have grown by 64 MiB since the last: with values of 64 KiB on their way from the network to the log and
 * the other nodes that is every two hundred writes, and all that lives is marked anew each time. A server's heap is small, some 25 MB, and by itself V8 lets that grow by as much again.
 * Together these collections took a half of the CPU time of such writes. Now buffers count with the heap, toward one limit, and that is four times what lives: a leader that writes
 * large values comes to 400 MB, where it was 250.
 *
 * For the whole process, so only for one that is a server and nothing else. Called by commands/server.ts.
 */
import { setFlagsFromString } from 'node:v8';

const GROWTH_PERCENT = 300;

/** V8 reads both at each collection: they may be set at any time. */
export function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}
