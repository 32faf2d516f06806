/**
 * Configurations and their changes as bytes, for whoever stores or sends them: logs, messages, snapshots. Pure. Varints throughout.
 *
 *   configuration:  | auto leave u8 | voters | outgoing | learners | learnersNext | witnesses |
 *   set of ids:     | count | first id | difference to the one before ... |         ascending, so differences are above 0
 *
 *   change:         | 1 simple u8      | members |
 *                   | 2 enter-joint u8 | auto leave u8 | members |
 *                   | 3 leave-joint u8 |
 *                   | 4 force u8       | set of ids |
 *   members:        | count | id, type u8 ... |      type: 1 make-voter, 2 make-learner, 3 remove; + 4: `witness` is given; + 8: and true
 *
 * Every value has one form. Bytes that are none throw `invalid/CONFIGURATION_FORMAT`; whether a change makes sense is for `changed` to say.
 * Format: docs/formats/raft-wire.md. Used by server/transport and server/node/log.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import { readVarint, type VarintCursor, varintBytes, writeVarint } from '../../base/varint.ts';
import type { Configuration, ConfigurationChange, MemberChange } from './configuration.ts';

const CHANGE_TYPES = ['simple', 'enter-joint', 'leave-joint', 'force'] as const;
const MEMBER_TYPES = ['make-voter', 'make-learner', 'remove'] as const;
const WITNESS_GIVEN = 4;
const WITNESS_TRUE = 8;

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { voters, outgoing, learners, learnersNext, witnesses, autoLeave } = configuration;
  const numbers = [Number(autoLeave)];
  for (const set of [voters, outgoing, learners, learnersNext, witnesses]) pushIds(numbers, set);
  return varints(numbers);
}

export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const cursor = { bytes, offset: 0, end: bytes.length };
  const autoLeave = flag(cursor);
  const configuration = {
    voters: ids(cursor),
    outgoing: ids(cursor),
    learners: ids(cursor),
    learnersNext: ids(cursor),
    witnesses: ids(cursor),
    autoLeave,
  };
  return whole(cursor, configuration);
}

export function encodeConfigurationChange(change: ConfigurationChange): Uint8Array {
  const numbers = [CHANGE_TYPES.indexOf(change.type) + 1];
  if (change.type === 'enter-joint') numbers.push(Number(change.autoLeave));
  if (change.type === 'force') pushIds(numbers, change.voters);
  if (change.type === 'simple' || change.type === 'enter-joint') {
    numbers.push(change.members.length);
    for (const { id, type, witness } of change.members) {
      const given = witness === undefined ? 0 : WITNESS_GIVEN + (witness ? WITNESS_TRUE : 0);
      numbers.push(id, MEMBER_TYPES.indexOf(type) + 1 + given);
    }
  }
  return varints(numbers);
}

export function decodeConfigurationChange(bytes: Uint8Array): ConfigurationChange {
  const cursor = { bytes, offset: 0, end: bytes.length };
  const type = CHANGE_TYPES[number(cursor) - 1];
  switch (type) {
    case 'simple':
      return whole(cursor, { type, members: members(cursor) });
    case 'enter-joint': {
      const autoLeave = flag(cursor);
      return whole(cursor, { type, members: members(cursor), autoLeave });
    }
    case 'leave-joint':
      return whole(cursor, { type });
    case 'force':
      return whole(cursor, { type, voters: ids(cursor) });
    case undefined:
      throw formatError('a change of unknown type');
  }
}

function pushIds(numbers: number[], set: readonly number[]): void {
  numbers.push(set.length);
  let before = 0;
  for (const id of set) {
    assert(id > before, 'ids of members ascend');
    numbers.push(id - before);
    before = id;
  }
}

function varints(numbers: readonly number[]): Uint8Array {
  let length = 0;
  for (const each of numbers) length += varintBytes(each);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const each of numbers) at = writeVarint(bytes, at, each);
  return bytes;
}

function members(cursor: VarintCursor): MemberChange[] {
  return Array.from({ length: count(cursor, 2) }, () => {
    const id = number(cursor);
    const bits = number(cursor);
    const type = MEMBER_TYPES[(bits & 3) - 1];
    if (type === undefined || bits > 15 || (bits & (WITNESS_GIVEN + WITNESS_TRUE)) === WITNESS_TRUE)
      throw formatError('a member changes in an unknown way');
    return bits < WITNESS_GIVEN ? { type, id } : { type, id, witness: bits >= WITNESS_TRUE };
  });
}

function ids(cursor: VarintCursor): number[] {
  let before = 0;
  return Array.from({ length: count(cursor, 1) }, () => {
    const difference = number(cursor);
    const id = before + difference;
    if (difference === 0 || !Number.isSafeInteger(id)) throw formatError('ids do not ascend');
    return (before = id);
  });
}

/** A count of things that take `bytesEach` at least: never more than the bytes have room for. */
function count(cursor: VarintCursor, bytesEach: number): number {
  const value = number(cursor);
  if (value * bytesEach > cursor.end - cursor.offset) throw formatError(`a count of ${value} is more than the bytes have room for`);
  return value;
}

function flag(cursor: VarintCursor): boolean {
  const value = number(cursor);
  if (value > 1) throw formatError('a flag is neither 0 nor 1');
  return value === 1;
}

function number(cursor: VarintCursor): number {
  const value = readVarint(cursor);
  if (value === undefined) throw formatError('a number is cut short or not in its shortest form');
  return value;
}

function whole<T>({ offset, end }: VarintCursor, value: T): T {
  if (offset !== end) throw formatError(`${end - offset} bytes follow`);
  return value;
}

function formatError(what: string): SparrowError {
  return new SparrowError('invalid', 'CONFIGURATION_FORMAT', `configuration: ${what}`);
}
