/**
 * A change of a group's configuration as bytes, in entries of the node's log.
 *
 *   | type u8: 1 simple, 2 enter joint, 3 leave joint, 4 force | auto leave u8 | count u16 | count of member, 8 bytes each |
 *
 *   member: | id u32 | change u8: 1 make voter, 2 make learner, 3 remove; 0 under force | witness u8 | zero u16 |
 *
 * Format: docs/formats/raft-log.md. Called by frame-kinds.ts.
 */
import { assert } from '../../../base/assert.ts';
import { SparrowError } from '../../../base/errors.ts';
import type { ConfigurationChange, MemberChange } from '../../raft/index.ts';

const TYPES = ['simple', 'enter-joint', 'leave-joint', 'force'] as const;
const MEMBER_TYPES = ['make-voter', 'make-learner', 'remove'] as const;
const HEADER_BYTES = 4;
const MEMBER_BYTES = 8;
const MEMBERS_MAX = 255;

export const CHANGE_BYTES_MAX: number = HEADER_BYTES + MEMBER_BYTES * MEMBERS_MAX;

export function encodeChange(change: ConfigurationChange): Buffer {
  const members: readonly (MemberChange | { id: number })[] =
    change.type === 'force' ? change.voters.map((id) => ({ id })) : change.type === 'leave-joint' ? [] : change.members;
  assert(members.length <= MEMBERS_MAX, 'a configuration changes by at most 255 members');
  const bytes = Buffer.alloc(HEADER_BYTES + MEMBER_BYTES * members.length);
  bytes[0] = TYPES.indexOf(change.type) + 1;
  bytes[1] = Number(change.type === 'enter-joint' && change.autoLeave);
  bytes.writeUInt16LE(members.length, 2);
  for (const [i, member] of members.entries()) {
    const at = HEADER_BYTES + MEMBER_BYTES * i;
    bytes.writeUInt32LE(member.id, at);
    if (!('type' in member)) continue;
    bytes[at + 4] = MEMBER_TYPES.indexOf(member.type) + 1;
    bytes[at + 5] = Number(member.witness ?? false);
  }
  return bytes;
}

/** Throws `invalid/CONFIGURATION_CHANGE` for what is none: bytes that a newer release wrote. */
export function decodeChange(bytes: Buffer): ConfigurationChange {
  const type = TYPES[(bytes[0] ?? 0) - 1];
  const count = bytes.length < HEADER_BYTES ? 0 : bytes.readUInt16LE(2);
  if (type === undefined || bytes.length !== HEADER_BYTES + MEMBER_BYTES * count) throw unknown();
  if (type === 'leave-joint') return { type };
  const at = (i: number): number => HEADER_BYTES + MEMBER_BYTES * i;
  if (type === 'force') return { type, voters: Array.from({ length: count }, (_, i) => bytes.readUInt32LE(at(i))) };
  const members = Array.from({ length: count }, (_, i): MemberChange => {
    const change = MEMBER_TYPES[bytes[at(i) + 4]! - 1];
    if (change === undefined) throw unknown();
    const id = bytes.readUInt32LE(at(i));
    return bytes[at(i) + 5] === 1 ? { type: change, id, witness: true } : { type: change, id };
  });
  return type === 'simple' ? { type, members } : { type, members, autoLeave: bytes[1] === 1 };
}

function unknown(): SparrowError {
  return new SparrowError(
    'invalid',
    'CONFIGURATION_CHANGE',
    'an entry of the log holds a change of the configuration that is not known here',
  );
}
