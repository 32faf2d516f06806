/** Memory that messages leave behind is used again, and never by two at a time. */
import { describe, expect, it } from 'vitest';
import { MessageMemory } from '../../base/message-memory.ts';
import type { Message } from '../../server/raft/index.ts';
import { PacketWriter, readPacket } from '../../server/transport/index.ts';
import { hash } from '../server/transport/hash.ts';
import { FROM, TO } from '../server/transport/messages.ts';

const KIB = 1024;

describe('memory of messages', () => {
  it('is handed out again once it was given back, in the size that fits', () => {
    const memory = new MessageMemory(4096 * KIB);
    const taken = memory.take(70 * KIB);
    expect(taken.length).toBe(128 * KIB);
    memory.give(taken.subarray(0, 70 * KIB));
    expect(memory.spareBytes).toBe(128 * KIB);
    expect(memory.take(20 * KIB).buffer).not.toBe(taken.buffer);
    expect(memory.take(65 * KIB).buffer).toBe(taken.buffer);
    expect(memory.spareBytes).toBe(0);
  });

  it('is not handed out twice, whoever gives it back twice', () => {
    const memory = new MessageMemory(4096 * KIB);
    const taken = memory.take(64 * KIB);
    memory.give(taken);
    memory.give(taken);
    expect(memory.take(64 * KIB).buffer).not.toBe(memory.take(64 * KIB).buffer);
  });

  it('is kept up to a bound, and only what was taken here', () => {
    const memory = new MessageMemory(4096 * KIB);
    for (const bytes of [64 * KIB, 100, 8 * KIB]) memory.give(Buffer.allocUnsafe(bytes));
    for (const bytes of [100, 4096 * KIB]) memory.give(memory.take(bytes));
    expect(memory.spareBytes).toBe(0);
    const many = Array.from({ length: 20 }, () => memory.take(1024 * KIB));
    for (const each of many) memory.give(each);
    expect(memory.spareBytes).toBe(4096 * KIB);
  });

  it('of one packet is under another only when the first was given back', () => {
    const memory = new MessageMemory(4096 * KIB);
    const writer = new PacketWriter(FROM, TO, hash, memory);
    const packets = [1, 2, 3].map((term) => {
      writer.expect(80 * KIB);
      writer.add(1, append(term, 70 * KIB));
      return writer.take();
    });
    memory.give(packets[0]!);
    writer.expect(80 * KIB);
    writer.add(1, append(4, 70 * KIB));
    const fourth = writer.take();
    expect(fourth.buffer).toBe(packets[0]!.buffer);
    for (const [packet, term] of [[packets[1]!, 2] as const, [packets[2]!, 3] as const, [fourth, 4] as const]) {
      expect(readPacket(packet, FROM, TO, hash).messages).toEqual([{ group: 1, message: append(term, 70 * KIB) }]);
    }
  });
});

function append(term: number, bytes: number): Message {
  const entries = [{ index: 1, term, data: Buffer.alloc(bytes, term) }];
  return { type: 'append-request', from: FROM, to: TO, term, previousIndex: 0, previousTerm: 0, commit: 0, entries };
}
