/** HOST:PORT, as settings name where something listens and where it is reached. */
import { SparrowError } from '../base/errors.ts';

/** Hosts that stand for all of a machine's addresses: to listen on, not to be reached at. */
const ANY_HOST: ReadonlySet<string> = new Set(['0.0.0.0', '::', '::0', '0:0:0:0:0:0:0:0']);

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Host and port of an address to listen on; `field`: the setting that has it. Throws `invalid/OPTION_RANGE`. */
export function parseListen(listen: string, field = 'listen'): Address {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(listen);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new SparrowError('invalid', 'OPTION_RANGE', `${field} is HOST:PORT, such as 127.0.0.1:7400, not '${listen}'`, { field });
  }
  return { host: match[1] ?? match[2]!, port };
}

/** The same of an address at which others are to reach something: of one machine, with a port that is known. */
export function parseReachable(address: string, field: string): Address {
  const { host, port } = parseListen(address, field);
  if (port === 0 || ANY_HOST.has(host)) {
    const what = port === 0 ? 'port 0 is any port' : `${host} is every address of a machine`;
    throw new SparrowError('invalid', 'OPTION_RANGE', `${field}: others cannot be told to call ${address}: ${what}`, { field });
  }
  return { host, port };
}
