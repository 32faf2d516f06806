/**
 * The process in which one variant runs one group. The parent sends one request; each result goes back as a message; an exit code other
 * than 0 means failure, its reason on stderr.
 */
import { GROUPS } from './workloads.ts';
import { KILLED_WRITER, writeAndDie } from './workloads/lifecycle.ts';
import { Session } from './session.ts';
import type { Variant } from './store.ts';

export interface Request {
  group: string;
  variant: Variant;
  wanted: string[];
  records: number;
  milliseconds: number;
  directory: string;
}

process.once('message', (message) => {
  run(message as Request).then(
    () => process.disconnect(),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});

async function run(request: Request): Promise<void> {
  const session = new Session({ ...request, report: (result) => process.send!(result) });
  if (request.group === KILLED_WRITER) return writeAndDie(session);
  const group = GROUPS.find(({ name }) => name === request.group);
  if (!group) throw new Error(`no group '${request.group}'`);
  await group.run(session, new Set(request.wanted));
}
