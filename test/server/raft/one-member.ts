/** One member of a group, member 1, alone with a test that speaks for the others. Used by tests of what it says to single messages. */
import { type Message, type Output, Raft, type RaftOptions, votersOnly } from '../../../server/raft/index.ts';

type Given = Pick<RaftOptions, 'hardState' | 'log' | 'applied' | 'promised'>;

/** With all that its log has applied, of the given voters. */
export function memberOne(given: Given, voters: readonly number[] = [1, 2, 3]): Raft {
  return new Raft({
    id: 1,
    configuration: votersOnly(voters),
    electionTicks: 10,
    heartbeatTicks: 1,
    seed: 1,
    appendBytesMax: 1000,
    inflight: { messages: 8, bytes: 10_000 },
    uncommittedBytesMax: 10_000,
    keptBytesMax: 0,
    ...given,
  });
}

/** Its disk has what it put out, and its own vote reaches it. Returns what went to others. */
export function persisted(raft: Raft, { token, messagesAfterSync }: Output): readonly Message[] {
  raft.persisted(token);
  for (const message of messagesAfterSync) if (message.to === 1) raft.step(message);
  return messagesAfterSync.filter(({ to }) => to !== 1);
}
