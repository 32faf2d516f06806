/** A node's log on a simulated disk, and what is in it as text. */
import { NodeClock, NodeScheduler } from '../../../../base/node/index.ts';
import { type GroupLog, NodeLog } from '../../../../server/node/log/index.ts';
import type { LogEntry } from '../../../../server/raft/index.ts';
import type { SimFileSystem } from '../../../sim/sim-file-system.ts';
import { SimRandom } from '../../../sim/sim-random.ts';
import { hash } from '../hash.ts';

export const DIRECTORY = '/log';

export function openLog(
  fileSystem: SimFileSystem,
  { segmentBytes = 1 << 20, cacheBytes = 0, scheduler = new NodeScheduler() }: Partial<Parameters<typeof NodeLog.open>[0]> = {},
): NodeLog {
  return NodeLog.open({
    fileSystem,
    directory: DIRECTORY,
    hash,
    clock: new NodeClock(),
    scheduler,
    random: new SimRandom(7),
    segmentBytes,
    cacheBytes,
  });
}

export function entry(index: number, term = 1, data = `entry ${index}`): LogEntry {
  return { index, term, data: Buffer.from(data) };
}

export function textOf({ index, term, data, change, withheldBytes }: LogEntry): string {
  const what = change ? JSON.stringify(change) : withheldBytes !== undefined ? `withheld ${withheldBytes}` : Buffer.from(data).toString();
  return `${index}/${term} ${what}`;
}

/** Every entry of a group, read again. */
export async function contentsOf(log: GroupLog, bytesMax = 1000): Promise<string[]> {
  const { compactedIndex, lastIndex } = log.contents();
  const found: string[] = [];
  for (let next = compactedIndex + 1; next <= lastIndex;) {
    const entries = await log.read(next, lastIndex, bytesMax);
    if (entries.length === 0) break;
    found.push(...entries.map(textOf));
    next = entries.at(-1)!.index + 1;
  }
  return found;
}

export function segments(fileSystem: SimFileSystem): string[] {
  return fileSystem.listSync(DIRECTORY).filter((name) => /^\d+\.raft$/.test(name));
}
