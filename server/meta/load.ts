/** What a node's reported load says against its capacity and the policy's marks. Pure. Used by cluster.ts and placement/. */
import type { Policy } from './policy.ts';
import type { Node, Over } from './node.ts';

export const NOTHING_OVER: Over = { disk: false, cpu: false, io: false, slow: false };

/** The part of its disk that is in use, by whomever. 0 where that is not known. */
export function diskPart({ record, load }: Node): number {
  const { diskBytes } = record.capacity;
  return load === undefined || diskBytes === 0 ? 0 : Math.max(0, 1 - load.diskFreeBytes / diskBytes);
}

/** Which high marks it is beyond; once beyond, until it is below the low one. */
export function overOf(node: Node, policy: Policy): Over {
  if (node.load === undefined) return NOTHING_OVER;
  const { cpu, io, slowDisk } = node.load;
  const over = (was: boolean, is: number, low: number, high: number): boolean => is > high || (was && is > low);
  return {
    disk: over(node.over.disk, diskPart(node), policy.diskLow, policy.diskHigh),
    cpu: over(node.over.cpu, cpu, policy.cpuLow, policy.cpuHigh),
    io: over(node.over.io, io, policy.ioLow, policy.ioHigh),
    slow: over(node.over.slow, slowDisk, policy.slowDisk / 2, policy.slowDisk),
  };
}
