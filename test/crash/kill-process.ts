/** Run by kill.test.ts: opens the store in argv[2] and writes batches at durability argv[3], several in flight, until it is killed. Prints the number of each that is acknowledged. */
import { writeSync } from 'node:fs';
import { open, type Durability } from '../../engine/index.ts';
import { batchOf, KILL_SETTINGS } from './kill-batches.ts';

const IN_FLIGHT = 8;
const [, , directory, durability] = process.argv;

const engine = await open(directory!, KILL_SETTINGS);
let next = engine.sequence + 1;
await Promise.all(
  Array.from({ length: IN_FLIGHT }, async () => {
    for (;;) {
      const number = next++;
      await engine.write(batchOf(number), { durability: durability as Durability });
      print(`${number}\n`);
    }
  }),
);

/** Past the stream's buffer: what is printed has left the process. A pipe that is full takes it once somebody has read from it. */
function print(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
