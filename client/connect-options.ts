/** `connect`'s arguments, checked and completed. */
import type { ConnectOptions } from './api.ts';
import { checkInteger, checkNames, invalid, TIMEOUT_MS_MAX } from './arguments.ts';
import { resolveTls, type TlsCredentials } from './tls.ts';

const MIB: number = 1024 * 1024;

export type Settings = Readonly<Required<Omit<ConnectOptions, 'tls'>>> & { readonly tls?: TlsCredentials | undefined };

const NUMBERS = {
  timeoutMs: { default: 10_000, min: 1, max: TIMEOUT_MS_MAX },
  waitForServerMs: { default: TIMEOUT_MS_MAX, min: 0, max: TIMEOUT_MS_MAX },
  waitForLeaderMs: { default: undefined, min: 0, max: TIMEOUT_MS_MAX },
  callsInFlightMax: { default: 1_024, min: 1, max: 100_000 },
  bytesInFlightMax: { default: 64 * MIB, min: MIB, max: 4_096 * MIB },
  callsWaitingMax: { default: 100_000, min: 1, max: 10_000_000 },
  retryPauseMs: { default: 10, min: 1, max: 60_000 },
  retryPauseMsMax: { default: 1_000, min: 1, max: 60_000 },
} as const;

export function resolveConnectOptions(options: ConnectOptions): Settings {
  checkNames(options, new Set([...Object.keys(NUMBERS), 'transport', 'tls', 'zone']));
  const settings: Record<string, number | undefined> = {};
  for (const [name, field] of Object.entries(NUMBERS)) {
    const value = options[name as keyof typeof NUMBERS];
    settings[name] = value === undefined ? field.default : checkInteger(name, value, field.min, field.max);
  }
  settings['waitForLeaderMs'] ??= settings['waitForServerMs'];
  const transport = options.transport ?? 'session';
  if (transport !== 'session' && transport !== 'unary') {
    throw invalid('OPTION_RANGE', `transport must be 'session' or 'unary', not ${JSON.stringify(transport)}`, { field: 'transport' });
  }
  const zone = options.zone ?? '';
  if (typeof zone !== 'string') throw invalid('OPTION_TYPE', 'zone must be a string', { field: 'zone' });
  return Object.freeze({ ...settings, transport, zone, tls: options.tls && resolveTls(options.tls) }) as unknown as Settings;
}

/** HOST:PORT, with brackets around an IPv6 host. */
export function resolveAddresses(addresses: string | readonly string[]): readonly string[] {
  const list = typeof addresses === 'string' ? [addresses] : [...addresses];
  if (list.length === 0) throw invalid('ADDRESS', 'at least one address is needed', { field: 'addresses' });
  for (const address of list) {
    const match = typeof address === 'string' ? /^(?:\[[0-9a-fA-F:.%]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(address) : null;
    const port = Number(match?.[1]);
    if (match === null || port < 1 || port > 65_535) {
      throw invalid('ADDRESS', `not an address: ${JSON.stringify(address)}; HOST:PORT is asked for, such as 127.0.0.1:7400`, {
        field: 'addresses',
      });
    }
  }
  return Object.freeze(list);
}
