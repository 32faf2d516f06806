/** Packets: whatever is put in comes out, in order; whatever else comes in is refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import {
  decodeConfiguration,
  decodeConfigurationChange,
  encodeConfiguration,
  encodeConfigurationChange,
  type Message,
} from '../../../server/raft/index.ts';
import { type GroupMessage, PacketWriter, readPacket } from '../../../server/transport/index.ts';
import { mutate } from '../../faults/mutate.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { hash } from './hash.ts';
import { change, configuration, FROM, groupMessage, oneOfEach, TO } from './messages.ts';

function pack(messages: readonly GroupMessage[]): Buffer {
  const writer = new PacketWriter(FROM, TO, hash);
  for (const { group, message } of messages) writer.add(group, message);
  return writer.take();
}

/** Buffers and typed arrays of the same bytes are the same. */
function plain(messages: readonly GroupMessage[]): GroupMessage[] {
  return messages.map(({ group, message }) => {
    if (message.type !== 'append-request' && message.type !== 'entries-response') return { group, message };
    const entries = message.entries.map((entry) => ({ ...entry, data: Uint8Array.from(entry.data) }));
    return { group, message: { ...message, entries } };
  });
}

/** With the check made right again. */
function sealed(packet: Uint8Array): Buffer {
  const copy = Buffer.from(packet);
  if (copy.length >= 8) copy.writeBigUInt64LE(hash(copy.subarray(8), 0n), 0);
  return copy;
}

describe('a packet', () => {
  it('gives back what was put in, in order', () => {
    fc.assert(
      fc.property(fc.array(groupMessage, { maxLength: 30 }), (messages) => {
        expect(plain(readPacket(pack(messages), FROM, TO, hash).messages)).toEqual(plain(messages));
      }),
      { numRuns: 300 },
    );
  });

  it('carries one of each type, and offers of snapshots', () => {
    const writer = new PacketWriter(FROM, TO, hash);
    writer.offer(1, 'aa-1');
    for (const { group, message } of oneOfEach()) writer.add(group, message);
    expect(writer.messages).toBe(oneOfEach().length + 1);
    const { messages, offers } = readPacket(writer.take(), FROM, TO, hash);
    expect(plain(messages)).toEqual(plain(oneOfEach()));
    expect(offers).toEqual([{ group: 1, id: 'aa-1' }]);
    expect(writer.messages).toBe(0);
    expect(readPacket(writer.take(), FROM, TO, hash)).toEqual({ messages: [], offers: [] });
  });

  it('takes about ten bytes for a heartbeat', () => {
    const beats = Array.from({ length: 5000 }, (_, i): GroupMessage => {
      const message: Message = {
        type: 'heartbeat-request',
        from: FROM,
        to: TO,
        term: 12,
        commit: 3_000_000 + i * 999,
        round: 70_000 + i,
        sleep: i % 3 === 0,
      };
      return { group: i + 1, message };
    });
    const bytes = pack(beats).length;
    expect(bytes / 5000).toBeLessThan(12);
    expect(readPacket(pack(beats), FROM, TO, hash).messages).toEqual(beats);
  });

  it('copies entry data once: large data of what is read stays in the packet, small data does not hold it', () => {
    const request = (index: number, bytes: number): GroupMessage => {
      const entries = [{ index, term: 1, data: Buffer.alloc(bytes, index) }];
      return {
        group: 1,
        message: { type: 'append-request', from: FROM, to: TO, term: 1, previousIndex: index - 1, previousTerm: 1, commit: 0, entries },
      };
    };
    const packet = pack([request(1, 50_000), request(2, 100)]);
    const [large, small] = readPacket(packet, FROM, TO, hash).messages.map(
      ({ message }) => (message as unknown as { entries: { data: Uint8Array }[] }).entries[0]!.data,
    );
    expect(large!.buffer).toBe(packet.buffer);
    expect(small!.buffer.byteLength).toBe(100);
    expect(small).toEqual(Buffer.alloc(100, 2));
  });

  it('of more than a piece of the check is whole too, and every byte of it is checked', () => {
    const entries = [{ index: 1, term: 1, data: Buffer.alloc(3 * 1024 * 1024 + 17, 7) }];
    const packet = pack([
      { group: 1, message: { type: 'append-request', from: FROM, to: TO, term: 1, previousIndex: 0, previousTerm: 0, commit: 0, entries } },
    ]);
    expect(readPacket(packet, FROM, TO, hash).messages).toHaveLength(1);
    for (const at of [0, 7, 8, 1024 * 1024 + 8, 2 * 1024 * 1024, packet.length - 1]) {
      packet[at]! ^= 4;
      expect(() => readPacket(packet, FROM, TO, hash)).toThrow(expect.objectContaining({ code: 'PEER_CHECK', kind: 'corrupt' }));
      packet[at]! ^= 4;
    }
  });

  it('with any bit changed is refused', () => {
    const packet = pack(oneOfEach());
    for (let bit = 0; bit < packet.length * 8; bit++) {
      packet[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => readPacket(packet, FROM, TO, hash)).toThrow(SparrowError);
      packet[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  it('cut off anywhere is refused, behind a check that holds too', () => {
    const packet = pack(oneOfEach());
    let ends = 0;
    for (let length = 0; length < packet.length; length++) {
      expect(() => readPacket(packet.subarray(0, length), FROM, TO, hash)).toThrow(SparrowError);
      try {
        readPacket(sealed(packet.subarray(0, length)), FROM, TO, hash);
        ends++;
      } catch (error) {
        expect(error).toMatchObject({ code: 'PEER_FORMAT' });
      }
    }
    // Between records: nothing, after the two runs, and after each other message but the last.
    expect(ends).toBe(16);
  });

  it('of bytes that nobody wrote gives messages or says what is wrong, with memory in proportion', () => {
    let sound = 0;
    const cases = 6000;
    for (let seed = 1; seed <= cases; seed++) {
      const random = SimRandom.mixed(seed);
      const packet = sealed(mutate(pack(oneOfEach()), random));
      try {
        const { messages, offers } = readPacket(packet, FROM, TO, hash);
        sound++;
        expect(messages.length + offers.length).toBeLessThanOrEqual(packet.length);
        // What was taken can be sent on; an empty run, or a change in another form, would not be the same bytes.
        expect(plain(readPacket(pack(messages), FROM, TO, hash).messages)).toEqual(plain(messages));
      } catch (error) {
        if (!(error instanceof SparrowError) || error.kind !== 'invalid') throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    expect(sound).toBeGreaterThan(cases / 100);
    expect(sound).toBeLessThan(cases);
  });

  it('does not believe counts', () => {
    const [run, append] = [Buffer.alloc(13), Buffer.alloc(15)];
    run[8] = 5;
    run.writeUInt32LE(0xffffffff, 9);
    append[8] = 3;
    append[9] = 1;
    append.set([0xff, 0x7f], 13);
    for (const packet of [run, append])
      expect(() => readPacket(sealed(packet), FROM, TO, hash)).toThrow(expect.objectContaining({ code: 'PEER_FORMAT' }));
  });

  it('is only for messages between its ends', () => {
    const writer = new PacketWriter(FROM, TO, hash);
    expect(() => writer.add(1, { type: 'timeout-now', from: 3, to: TO, term: 1 })).toThrow(expect.objectContaining({ code: 'ASSERTION' }));
  });
});

describe('configurations and their changes', () => {
  it('are the same after a way through bytes, which have one form', () => {
    fc.assert(
      fc.property(configuration, change, (someone, something) => {
        expect(decodeConfiguration(encodeConfiguration(someone))).toEqual(someone);
        expect(decodeConfigurationChange(encodeConfigurationChange(something))).toEqual(something);
      }),
    );
  });

  it('of bytes that nobody wrote are refused, or are in the only form that they have', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        for (const [decode, encode] of [
          [decodeConfiguration, encodeConfiguration],
          [decodeConfigurationChange, encodeConfigurationChange],
        ] as const) {
          let value: unknown;
          try {
            value = decode(bytes);
          } catch (error) {
            expect(error).toMatchObject({ code: 'CONFIGURATION_FORMAT' });
            continue;
          }
          expect(encode(value as never)).toEqual(bytes);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
