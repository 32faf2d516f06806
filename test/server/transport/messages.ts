/** Messages of every type, for tests: arbitrary ones, and a fixed set. */
import fc from 'fast-check';
import type { Configuration, ConfigurationChange, LogEntry, MemberChange, Message } from '../../../server/raft/index.ts';
import type { GroupMessage, RepairMessage } from '../../../server/transport/index.ts';

export const FROM = 1;
export const TO = 2;

const number = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constantFrom(0, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 32, Number.MAX_SAFE_INTEGER));
const node = fc.integer({ min: 1, max: 0xffffffff });
export const group: fc.Arbitrary<number> = fc.oneof(fc.integer({ min: 1, max: 0xffffffff }), fc.integer({ min: 1, max: 20 }));
const ids = fc.uniqueArray(node, { maxLength: 5 }).map((set) => set.toSorted((a, b) => a - b));

export const configuration: fc.Arbitrary<Configuration> = fc.record({
  voters: ids,
  outgoing: ids,
  learners: ids,
  learnersNext: ids,
  witnesses: ids,
  autoLeave: fc.boolean(),
});

const member: fc.Arbitrary<MemberChange> = fc.record(
  { type: fc.constantFrom('make-voter' as const, 'make-learner' as const, 'remove' as const), id: node, witness: fc.boolean() },
  { requiredKeys: ['type', 'id'] },
);
const members = fc.array(member, { maxLength: 4 });

export const change: fc.Arbitrary<ConfigurationChange> = fc.oneof(
  fc.record({ type: fc.constant('simple' as const), members }),
  fc.record({ type: fc.constant('enter-joint' as const), members, autoLeave: fc.boolean() }),
  fc.constant({ type: 'leave-joint' as const }),
  fc.record({ type: fc.constant('force' as const), voters: ids }),
);

const entry = fc.record(
  { step: fc.nat(3), data: fc.uint8Array({ maxLength: 300 }), change, withheldBytes: number },
  { requiredKeys: ['step', 'data'] },
);

const envelope = { from: fc.constant(FROM), to: fc.constant(TO), term: number };

const append = fc
  .record({
    term: number,
    previousIndex: fc.nat(2 ** 40),
    previousTerm: fc.nat(2 ** 40),
    commit: number,
    entries: fc.array(entry, { maxLength: 6 }),
  })
  .map(({ entries, ...rest }): Message => ({ type: 'append-request', from: FROM, to: TO, ...rest, entries: numbered(entries, rest) }));

interface Drawn extends Omit<LogEntry, 'index' | 'term'> {
  step: number;
}

function numbered(entries: readonly Drawn[], { previousIndex, previousTerm }: { previousIndex: number; previousTerm: number }): LogEntry[] {
  let [index, term] = [previousIndex, previousTerm];
  return entries.map(({ step, ...each }): LogEntry => ({ ...each, index: ++index, term: (term += step) }));
}

export const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    type: fc.constant('vote-request' as const),
    ...envelope,
    pre: fc.boolean(),
    force: fc.boolean(),
    lastIndex: number,
    lastTerm: number,
    commit: number,
    commitTerm: number,
  }),
  fc.record({
    type: fc.constant('vote-response' as const),
    ...envelope,
    pre: fc.boolean(),
    granted: fc.boolean(),
    commit: number,
    commitTerm: number,
  }),
  append,
  fc.record({
    type: fc.constant('append-response' as const),
    ...envelope,
    accepted: fc.boolean(),
    index: number,
    hintIndex: number,
    hintTerm: number,
  }),
  fc.record({ type: fc.constant('heartbeat-request' as const), ...envelope, commit: number, round: number, sleep: fc.boolean() }),
  fc.record({ type: fc.constant('heartbeat-response' as const), ...envelope, round: number }),
  fc.record({
    type: fc.constant('snapshot-request' as const),
    ...envelope,
    snapshot: fc.record({ index: number, term: number, configuration }),
  }),
  fc.record({ type: fc.constant('timeout-now' as const), ...envelope }),
  fc.record({ type: fc.constant('append-received' as const), ...envelope, index: number }),
  fc.record({ type: fc.constant('read-request' as const), ...envelope, read: number }),
  fc.record({ type: fc.constant('read-response' as const), ...envelope, read: number, index: number }),
);

const anchored = { ...envelope, anchorIndex: number, anchorTerm: number };

/** What hosts say past their cores. */
const repairMessage: fc.Arbitrary<RepairMessage> = fc.oneof(
  fc.record({ type: fc.constant('entries-request' as const), ...anchored, first: number, last: number }),
  fc
    .record({ ...anchored, previousIndex: fc.nat(2 ** 40), previousTerm: fc.nat(2 ** 40), entries: fc.array(entry, { maxLength: 6 }) })
    .map(({ entries, ...rest }): RepairMessage => ({ type: 'entries-response', ...rest, entries: numbered(entries, rest) })),
  fc.record({ type: fc.constant('snapshot-wanted' as const), ...envelope, index: number }),
  fc.record({ type: fc.constant('barrier-wanted' as const), ...envelope, question: number }),
  fc.record({ type: fc.constant('barrier' as const), ...envelope, question: number, index: number }),
);

export const groupMessage: fc.Arbitrary<GroupMessage> = fc.record({
  group,
  message: fc.oneof({ weight: 5, arbitrary: message }, { weight: 1, arbitrary: repairMessage }),
});

/** One of each type, as they look in life. */
export function oneOfEach(): GroupMessage[] {
  const ends = { from: FROM, to: TO, term: 7 };
  const members: MemberChange[] = [{ type: 'make-learner', id: 4, witness: true }];
  const voters: Configuration = { voters: [1, 2, 3], outgoing: [], learners: [], learnersNext: [], witnesses: [3], autoLeave: false };
  const entries: LogEntry[] = [
    { index: 301, term: 6, data: Buffer.from('sparrow') },
    { index: 302, term: 7, data: new Uint8Array(0) },
    { index: 303, term: 7, data: new Uint8Array(0), change: { type: 'simple', members } },
    { index: 304, term: 7, data: new Uint8Array(0), withheldBytes: 1024 },
  ];
  return [
    { group: 1, message: { type: 'heartbeat-request', ...ends, commit: 300, round: 41, sleep: false } },
    { group: 3, message: { type: 'heartbeat-request', ...ends, commit: 9000, round: 42, sleep: true } },
    { group: 2, message: { type: 'heartbeat-response', ...ends, round: 17 } },
    { group: 1, message: { type: 'append-request', ...ends, previousIndex: 300, previousTerm: 6, commit: 300, entries } },
    { group: 1, message: { type: 'append-response', ...ends, accepted: false, index: 300, hintIndex: 290, hintTerm: 5 } },
    {
      group: 1,
      message: { type: 'vote-request', ...ends, pre: true, force: false, lastIndex: 304, lastTerm: 7, commit: 300, commitTerm: 6 },
    },
    { group: 1, message: { type: 'vote-response', ...ends, pre: false, granted: true, commit: 300, commitTerm: 6 } },
    { group: 1, message: { type: 'snapshot-request', ...ends, snapshot: { index: 300, term: 6, configuration: voters } } },
    { group: 1, message: { type: 'timeout-now', ...ends } },
    { group: 1, message: { type: 'read-request', ...ends, read: 5 } },
    { group: 1, message: { type: 'read-response', ...ends, read: 5, index: 300 } },
    { group: 1, message: { type: 'entries-request', ...ends, anchorIndex: 304, anchorTerm: 7, first: 301, last: 302 } },
    {
      group: 1,
      message: {
        type: 'entries-response',
        ...ends,
        anchorIndex: 304,
        anchorTerm: 7,
        previousIndex: 300,
        previousTerm: 6,
        entries: entries.slice(0, 2),
      },
    },
    { group: 1, message: { type: 'snapshot-wanted', ...ends, index: 304 } },
    { group: 1, message: { type: 'barrier-wanted', ...ends, question: 77 } },
    { group: 1, message: { type: 'barrier', ...ends, question: 77, index: 305 } },
    { group: 1, message: { type: 'append-received', ...ends, index: 304 } },
  ];
}
