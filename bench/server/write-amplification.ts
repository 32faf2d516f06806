/**
 * `node bench/server/write-amplification.ts`: how many bytes a server writes to the disk, and takes there, for each byte of keys and values. A real server
 * is loaded by the SDK, and then overwritten, each key once on average or more often, in random order unless said otherwise. After each, when nothing goes on any more:
 *
 *   written   write_bytes of /proc/PID/io since the server began, or since the load, / bytes of keys and values that were written meanwhile
 *   space     what its files take (each once, however many names it has) / bytes of keys and values that can be read
 *
 *   --value-bytes N    default 16384
 *   --megabytes N      loaded (default 2048)
 *   --overwrites N     how often all of it is written again (default 2)
 *   --in-flight N      default 64
 *   --in-order         overwrites in the order of the load, instead of at random
 *   --rate N           puts a second at most while overwriting (default: none)
 *   --dir DIR          a disk (default: the temporary directory)
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Choice, KEY_BYTES, Keys, Values } from '../engine/data.ts';
import { Meter, repeatInFlight } from '../engine/meter.ts';
import { CALLERS } from './callers.ts';
import { ServerProcess } from './server-process.ts';

const MIB: number = 1024 * 1024;
/** Nothing goes on any more when so little is written in so long. */
const REST_MS = 8000;
const REST_BYTES: number = 256 * 1024;

const { values: options } = parseArgs({
  options: {
    'value-bytes': { type: 'string', default: '16384' },
    megabytes: { type: 'string', default: '2048' },
    overwrites: { type: 'string', default: '2' },
    'in-flight': { type: 'string', default: '64' },
    'in-order': { type: 'boolean', default: false },
    rate: { type: 'string' },
    dir: { type: 'string' },
  },
});
const valueBytes = Number(options['value-bytes']);
const inFlight = Number(options['in-flight']);
const count = Math.ceil((Number(options.megabytes) * MIB) / (KEY_BYTES + valueBytes));
const [keys, values, choice] = [new Keys('random', count), new Values(valueBytes), new Choice(3)];

await using server = await ServerProcess.start(options.dir);
const caller = await CALLERS['sdk']!(server.address);
let written = server.bytesWritten();
await repeatInFlight(new Meter(), { operations: count, milliseconds: Infinity }, inFlight, (i) => caller.put(keys.at(i), values.of(i)));
await report('loaded', count);
for (let round = 1; round <= Number(options.overwrites); round++) {
  const beganMs = performance.now();
  await repeatInFlight(new Meter(), { operations: count, milliseconds: Infinity }, inFlight, async (i) => {
    const early = options.rate === undefined ? 0 : (i / Number(options.rate)) * 1000 - (performance.now() - beganMs);
    if (early > 1) await sleep(early);
    const key = options['in-order'] ? i : choice.below(count);
    await caller.put(keys.at(key), values.of(key, round));
  });
  await report(`overwritten ${round === 1 ? 'once' : `${round} times`}`, count);
}
await caller.close();

async function report(what: string, puts: number): Promise<void> {
  const user = puts * (KEY_BYTES + valueBytes);
  const atOnce = server.bytesWritten() - written;
  for (let before = -Infinity; server.bytesWritten() - before > REST_BYTES;) {
    before = server.bytesWritten();
    await sleep(REST_MS);
  }
  const now = server.bytesWritten();
  const { bytes, of } = diskBytes(server.directory);
  const parts = [...of].map(([suffix, each]) => `${suffix} ${Math.round(each / MIB)} MiB`).join(', ');
  const ratio = (a: number, b: number): string => (a / b).toFixed(3);
  console.log(`${what}: written ${ratio(atOnce, user)} when the last was answered, ${ratio(now - written, user)} at rest`);
  console.log(
    `  space ${ratio(bytes, count * (KEY_BYTES + valueBytes))} of ${Math.round((count * (KEY_BYTES + valueBytes)) / MIB)} MiB (${parts})`,
  );
  written = now;
}

/** What files take, each once; by the suffix of the name that was met first: the log's before the engine's. */
function diskBytes(directory: string): { bytes: number; of: Map<string, number> } {
  const seen = new Set<number>();
  const of = new Map<string, number>();
  let bytes = 0;
  const look = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true }).toSorted(
      (a, b) => Number(b.name === 'log') - Number(a.name === 'log'),
    )) {
      const child = join(path, entry.name);
      if (entry.isDirectory()) {
        look(child);
        continue;
      }
      const { ino, blocks } = statSync(child);
      if (seen.has(ino)) continue;
      seen.add(ino);
      const suffix = /\.[a-z]+$/.exec(entry.name)?.[0] ?? 'others';
      of.set(suffix, (of.get(suffix) ?? 0) + blocks * 512);
      bytes += blocks * 512;
    }
  };
  look(directory);
  return { bytes, of };
}
