/** Disks that fail (strace answers for the kernel), are full, or have changed a bit while a node was down. One node at a time: what a majority has is not touched. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Fault, POSSIBLE } from './fault.ts';
import { FlippedBit } from './flipped-bit.ts';

const STRACED: boolean = spawnSync('strace', ['-V']).status === 0;

/** `syscalls` answer `error` from the n-th of a thread on, in a life of the node that begins with the fault. */
function failing(name: string, syscalls: string, error: 'EIO' | 'ENOSPC', forGood: boolean): Fault {
  return {
    name,
    missing: () => (STRACED ? undefined : 'no strace'),
    async begin({ cluster }, random) {
      const node = random.pick(cluster.nodes);
      await node.end('SIGKILL');
      const at = 1 + random.below(random.chance(0.3) ? 8 : 200);
      const inject = `inject=${syscalls}:error=${error}:when=${at}${forGood ? '+' : ''}`;
      const options = ['-D', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', '-e', `trace=${syscalls}`, '-e', inject];
      try {
        await node.start(['strace', ...options]);
      } catch (refusal) {
        // Opening may meet it already, and says so.
        const { message } = refusal as Error;
        if (!message.includes(error) && !(error === 'ENOSPC' && message.includes('DISK_FULL'))) throw refusal;
      }
      return {
        what: `node ${node.id}, from the ${at}. on`,
        serves: true,
        async heal() {
          // A node that failed ends by itself; who met nothing, or only a full disk, is ended.
          if (node.running) await node.end('SIGKILL');
          await node.start();
        },
      };
    },
  };
}

const fullDisk: Fault = {
  name: 'a full disk',
  missing: ({ disks }) => (disks === undefined ? 'no disks of their own' : undefined),
  async begin({ cluster, disks }, random) {
    const led = await cluster.led();
    const node = random.pick(cluster.nodes);
    const left = random.below(2 * 1024 * 1024);
    disks!.fill(node.id, left);
    return {
      what: `${node === led ? 'leader' : 'follower'} ${node.id}, ${left} bytes left`,
      serves: node !== led,
      heal() {
        disks!.empty(node.id);
        return Promise.resolve();
      },
    };
  },
};

/** In its log, or in its engine's files. Starting goes on with nothing wrong, or names the damage. Afterwards the bit is turned back where it still stands. */
function flippedBit(name: string, part: string): Fault {
  return {
    name,
    missing: POSSIBLE,
    async begin({ cluster }, random) {
      const led = await cluster.led();
      const node = random.pick(cluster.nodes.filter((other) => other !== led));
      await node.end('SIGKILL');
      const bit = FlippedBit.draw(join(node.place.data, part), random);
      let refused = '';
      try {
        await node.start();
      } catch (error) {
        if (!/corrupt/i.test((error as Error).message)) throw error;
        refused = ': refused to start';
      }
      return {
        what: `node ${node.id}, ${bit.text}${refused}`,
        serves: true,
        async heal() {
          await node.end('SIGKILL');
          bit.restore();
          await node.start();
        },
      };
    },
  };
}

export const DISK_FAULTS: readonly Fault[] = [
  failing('fdatasync fails', 'fdatasync,fsync', 'EIO', true),
  failing('a write fails', 'pwrite64,pwritev', 'EIO', false),
  failing('writes find no space', 'pwrite64,pwritev', 'ENOSPC', true),
  fullDisk,
  flippedBit('a flipped bit in the log', 'log'),
  flippedBit('a flipped bit in the data', 'groups'),
];
