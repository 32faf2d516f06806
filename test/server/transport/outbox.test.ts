/** What waits for a node: bounded, never reordered, entries given up first. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../../server/raft/index.ts';
import { type GroupMessage, PacketWriter, readPacket } from '../../../server/transport/index.ts';
import { costOf } from '../../../server/transport/message-codec.ts';
import { Outbox, type OutboxLimits } from '../../../server/transport/outbox.ts';
import { hash } from './hash.ts';
import { FROM, groupMessage, TO } from './messages.ts';

const LIMITS: OutboxLimits = { queueBytesMax: 10_000, reserveBytes: 1000, packetBytes: 2000, messageBytesMax: 50_000 };

function outbox(limits: Partial<OutboxLimits> = {}): Outbox {
  return new Outbox({ ...LIMITS, ...limits }, new PacketWriter(FROM, TO, hash));
}

function append(bytes: number): Message {
  const entries = [{ index: 1, term: 1, data: new Uint8Array(bytes) }];
  return { type: 'append-request', from: FROM, to: TO, term: 1, previousIndex: 0, previousTerm: 0, commit: 0, entries };
}

const timeoutNow: Message = { type: 'timeout-now', from: FROM, to: TO, term: 1 };

function drain(box: Outbox): { messages: GroupMessage[]; packets: number[] } {
  const messages: GroupMessage[] = [];
  const packets: number[] = [];
  for (let taken = box.take(); taken; taken = box.take()) {
    const read = readPacket(taken.packet, FROM, TO, hash).messages;
    expect(read).toHaveLength(taken.messages);
    messages.push(...read);
    packets.push(taken.packet.length);
  }
  return { messages, packets };
}

describe('an outbox', () => {
  it('drops entries first, the rest when the reserve is full too, and takes them again when there is room', () => {
    const box = outbox();
    let entries = 0;
    while (box.push(1, append(900)) === undefined) entries++;
    expect(entries).toBe(10);
    expect(box.push(1, append(900))).toBe('entries');
    let others = 0;
    while (box.push(2, timeoutNow) === undefined) others++;
    expect(others).toBeGreaterThan(20);
    expect(box.push(2, timeoutNow)).toBe('others');
    expect(box.offer(1, 'snapshot')).toBe(false);
    expect(box.bytes).toBeLessThanOrEqual(LIMITS.queueBytesMax + LIMITS.reserveBytes);
    expect(drain(box).messages.map(({ group }) => group)).toEqual([...Array(entries).fill(1), ...Array(others).fill(2)]);
    expect(box.bytes).toBe(0);
    expect(box.push(1, append(900))).toBeUndefined();
  });

  it('sends an append that is larger than all the room when nothing else waits, and none that the other side would refuse', () => {
    const box = outbox();
    expect(box.push(1, append(30_000))).toBeUndefined();
    expect(box.push(1, append(1))).toBe('entries');
    expect(drain(box).messages).toHaveLength(1);
    expect(box.push(1, append(60_000))).toBe('too-large');
  });

  it('fills packets up to their size', () => {
    const box = outbox({ queueBytesMax: 1e6 });
    for (let i = 0; i < 100; i++) box.push(1, append(400));
    const { packets } = drain(box);
    expect(packets.length).toBeGreaterThan(100 / 5);
    expect(packets.length).toBeLessThan(100 / 3);
    for (const bytes of packets) expect(bytes).toBeLessThanOrEqual(LIMITS.packetBytes);
  });

  it('keeps the order of what it takes, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(groupMessage, fc.constant('take' as const)), { maxLength: 60 }), (steps) => {
        const box = outbox({ queueBytesMax: 3000 });
        const taken: GroupMessage[] = [];
        const expected: GroupMessage[] = [];
        const take = (): void => {
          const next = box.take();
          if (next) taken.push(...readPacket(next.packet, FROM, TO, hash).messages);
        };
        for (const step of steps) {
          if (step === 'take') take();
          else if (box.push(step.group, step.message) === undefined) expected.push(step);
          expect(box.bytes).toBeLessThanOrEqual(4000);
        }
        while (box.messages > 0) take();
        expect(box.bytes).toBe(0);
        expect(taken.map(({ group, message: { type } }) => [group, type])).toEqual(
          expected.map(({ group, message: { type } }) => [group, type]),
        );
      }),
    );
  });

  it('counts a message as no less than it takes in a packet', () => {
    fc.assert(
      fc.property(groupMessage, (each) => {
        const writer = new PacketWriter(FROM, TO, hash);
        writer.add(each.group, each.message);
        expect(costOf(each.message) + 24).toBeGreaterThanOrEqual(writer.take().length);
      }),
    );
  });
});
