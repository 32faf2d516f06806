/**
 * A store's id: a random number in its manifest, given when it is made. A copy (checkpoint, restore) gets one of its own, because from then on the
 * two give the same file ids to different files. So files of one store id and name are one file.
 */
import type { Random } from '../../base/env.ts';
import { applyEdit, type Version } from '../manifest/index.ts';

const SETTING = 'storeId';

/** A new one: 1 to 2^53 - 1. */
export function newStoreId(random: Random): number {
  return (random.u32() & 0x1fffff) * 2 ** 32 + random.u32() || 1;
}

/** Undefined: the store has none. */
export function storeIdOf(version: Version): number | undefined {
  return version.settings.get(SETTING) || undefined;
}

/** The settings of a new store. */
export function storeIdSettings(id: number | undefined): Readonly<Record<string, number>> {
  return id === undefined ? {} : { [SETTING]: id };
}

/** A version for a copy. Without an id it has none, whatever the original had. */
export function withStoreId(version: Version, id: number | undefined): Version {
  return applyEdit(version, { settings: { [SETTING]: id ?? 0 } });
}
