/** TLS of the SDK: certificates and keys as they are given, checked, and what gRPC makes of them. */
import { ChannelCredentials } from '@grpc/grpc-js';

import type { TlsOptions } from './api.ts';
import { checkNames, invalid, toBytes } from './arguments.ts';

export interface TlsCredentials {
  readonly authority: Buffer | null;
  readonly key: Buffer | null;
  readonly certificate: Buffer | null;
}

/** Throws `invalid` errors that name the field. */
export function resolveTls(options: TlsOptions): TlsCredentials {
  checkNames(options, new Set(['authority', 'certificate', 'key']));
  const pem = (name: keyof TlsOptions): Buffer | null => {
    const given = options[name];
    if (given === undefined) return null;
    const bytes = Buffer.from(toBytes(given, `tls.${name}`));
    if (bytes.includes('-----BEGIN ')) return bytes;
    throw invalid('OPTION_RANGE', `tls.${name} is text in PEM, not the name of a file`, { field: `tls.${name}` });
  };
  const [authority, key, certificate] = [pem('authority'), pem('key'), pem('certificate')];
  if ((key === null) === (certificate === null)) return { authority, key, certificate };
  throw invalid('OPTION_CONFLICT', 'tls.certificate and tls.key belong together', { field: key === null ? 'tls.key' : 'tls.certificate' });
}

export function credentialsOf(tls: TlsCredentials | undefined): ChannelCredentials {
  return tls === undefined ? ChannelCredentials.createInsecure() : ChannelCredentials.createSsl(tls.authority, tls.key, tls.certificate);
}
