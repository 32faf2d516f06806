/** What an engine under a host's log is opened with, checked: what the host gives, and that nothing is asked for that only a log of its own could do. */
import { SparrowError } from '../../base/errors.ts';
import type { Hosted } from '../hosted-api.ts';
import { checkObject, checkOptions } from '../keys.ts';
import { notHosted } from '../not-hosted.ts';
import type { EngineSettingsInput } from '../settings.ts';

const HOSTED_FIELDS: readonly string[] = ['segmentPath', 'sync', 'expiry'];
/** Settings of a log. */
const LOG_SETTINGS = ['durability', 'segmentBytes', 'callerSyncMs'] as const satisfies (keyof EngineSettingsInput)[];

/** `invalid/TYPE`, `invalid/OPTION_UNKNOWN`; `invalid/OPTION_HOSTED` for a setting of a log that is not there. */
export function checkHosted(hosted: Hosted, settings: EngineSettingsInput | undefined): void {
  checkObject(hosted, 'hosted');
  checkOptions(hosted, HOSTED_FIELDS);
  checkFunction(hosted.segmentPath, 'hosted.segmentPath');
  if (hosted.sync !== undefined) checkFunction(hosted.sync, 'hosted.sync');
  if (hosted.expiry !== undefined && hosted.expiry !== 'told')
    throw new SparrowError('invalid', 'OPTION_RANGE', `hosted.expiry is told, or left out, not ${String(hosted.expiry)}`, {
      field: 'hosted.expiry',
    });
  for (const field of LOG_SETTINGS) if (settings?.[field] !== undefined) throw notHosted(field);
}

function checkFunction(value: unknown, field: string): void {
  if (typeof value === 'function') return;
  throw new SparrowError('invalid', 'TYPE', `${field} is a function, not ${value === null ? 'null' : typeof value}`, { field });
}
