/** Has driver.ts measure, in a process of its own, and waits for its end. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster } from './cluster.ts';
import type { Assignment } from './driver.ts';
import { endLater } from './member.ts';
import type { Measured } from './result.ts';

const DRIVER: string = fileURLToPath(new URL('driver.ts', import.meta.url));
/** A run that takes so many times as long as it should is ended. */
const PATIENCE = 4;
const START_MS_MAX = 60_000;

export type Drive = Omit<Assignment, 'addresses' | 'processIds'>;

/** `profile`: where CPU profiles go. Rejects when a server ends, or the client fails or takes too long. */
export function measureBy(
  cluster: Cluster,
  wanted: Drive,
  profile: string | undefined,
  onMeasured: (measured: Measured) => void,
): Promise<void> {
  const execArgv = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profile, 'client')}`];
  const child = endLater(fork(DRIVER, { execArgv, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] }));
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.on('message', (message) => onMeasured(message as Measured));
  const { addresses, processIds } = cluster;
  const assignment: Assignment = { ...wanted, addresses, processIds };
  child.send(assignment);
  const { plan, inFlights } = wanted;
  const millisecondsMax = START_MS_MAX + PATIENCE * (plan.warmUpMs + inFlights.length * (plan.settleMs + plan.measureMs));
  return new Promise((settled, failed) => {
    const timer = setTimeout(() => {
      said = `not done within ${Math.round(millisecondsMax / 1000)} s\n${said}`;
      child.kill('SIGKILL');
    }, millisecondsMax);
    child.once('error', failed);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      try {
        cluster.check();
        if (code !== 0) throw new Error(said.trim() || `the client ended with ${signal ?? `code ${code}`}`);
        settled();
      } catch (error) {
        failed(error);
      }
    });
  });
}
