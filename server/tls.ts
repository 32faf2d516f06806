/**
 * TLS, out of files of PEM that are read once, when the server starts.
 *
 *   tls       what clients meet: the server's certificate; with `clientAuthority` they have to show one of that authority themselves
 *   peerTls   between nodes: each shows its certificate to the other, and takes none that is not of `authority`
 *
 * Made by the composition root for whoever listens and calls.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { SparrowError } from '../base/errors.ts';

export interface TlsSettings {
  /** File of the certificate, with those between it and the authority behind it. */
  readonly certificate: string;
  /** File of its private key. */
  readonly key: string;
  /** File of certificates that clients' ones must lead to; not there: clients need none. */
  readonly clientAuthority?: string | undefined;
}

export interface PeerTlsSettings {
  readonly certificate: string;
  readonly key: string;
  /** File of certificates that other nodes' ones must lead to. */
  readonly authority: string;
}

/** For the port of clients. Throws `invalid/TLS_FILE`. */
export function clientCredentials(tls: TlsSettings | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = readPair(tls, 'tls');
  const authority = tls.clientAuthority === undefined ? null : readCertificates(tls.clientAuthority, 'tls.clientAuthority');
  return ServerCredentials.createSsl(authority, [pair], authority !== null);
}

/** For both ends of the way between nodes. Throws `invalid/TLS_FILE`. */
export function peerCredentials(tls: PeerTlsSettings | undefined): {
  serverCredentials: ServerCredentials;
  channelCredentials: ChannelCredentials;
} {
  if (tls === undefined)
    return { serverCredentials: ServerCredentials.createInsecure(), channelCredentials: ChannelCredentials.createInsecure() };
  const pair = readPair(tls, 'peerTls');
  const authority = readCertificates(tls.authority, 'peerTls.authority');
  return {
    serverCredentials: ServerCredentials.createSsl(authority, [pair], true),
    channelCredentials: ChannelCredentials.createSsl(authority, pair.private_key, pair.cert_chain),
  };
}

/** For calls to other nodes where clients call them: this node's own certificate, and the authority of nodes, or undefined for those that Node trusts. */
export function callerPem({ tls, peerTls }: CallerTls): { certificate: Buffer; key: Buffer; authority?: Buffer } | undefined {
  if (tls === undefined) return undefined;
  const { private_key: key, cert_chain: certificate } = readPair(tls, 'tls');
  return { key, certificate, ...(peerTls && { authority: readCertificates(peerTls.authority, 'peerTls.authority') }) };
}

/** The same, for who calls without the SDK. */
export function callerCredentials(settings: CallerTls): ChannelCredentials {
  const pem = callerPem(settings);
  if (pem === undefined) return ChannelCredentials.createInsecure();
  return ChannelCredentials.createSsl(pem.authority ?? null, pem.key, pem.certificate);
}

interface CallerTls {
  readonly tls?: TlsSettings | undefined;
  readonly peerTls?: PeerTlsSettings | undefined;
}

function readPair(files: { certificate: string; key: string }, field: string): { private_key: Buffer; cert_chain: Buffer } {
  const chain = readCertificates(files.certificate, `${field}.certificate`);
  const key = read(files.key, `${field}.key`);
  try {
    if (new X509Certificate(chain).checkPrivateKey(createPrivateKey(key))) return { private_key: key, cert_chain: chain };
  } catch (error) {
    throw wrong(`${field}.key`, files.key, (error as Error).message, error);
  }
  throw wrong(`${field}.key`, files.key, `it is not the key of the certificate ${files.certificate}`);
}

function readCertificates(file: string, field: string): Buffer {
  const bytes = read(file, field);
  try {
    return (new X509Certificate(bytes), bytes);
  } catch (error) {
    throw wrong(field, file, 'it holds no certificate in PEM', error);
  }
}

function read(file: string, field: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw wrong(field, file, (error as Error).message, error);
  }
}

function wrong(field: string, file: string, what: string, cause?: unknown): SparrowError {
  return new SparrowError('invalid', 'TLS_FILE', `${field}: ${file}: ${what}`, { field, file }, cause);
}
