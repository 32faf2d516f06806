import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ReceiveWindows } from '../../../server/gateway/receive-windows.ts';

const BEGINNING = 65_535;
const SIZES = { connectionBytes: 1_000_000, sessionBytes: 300_000, totalBytes: 600_000 };

let windows: ReceiveWindows;
let server: Http2Server;
const clients: ClientHttp2Session[] = [];

beforeEach(async () => {
  windows = new ReceiveWindows({ streams: new Set(['/Session']), writes: new Set(['/Put']) }, SIZES);
  server = await listening();
  windows.watch(portOf(server));
});

afterEach(async () => {
  windows.close();
  await closed(server);
});

async function listening(): Promise<Http2Server> {
  const made = createServer();
  made.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.respond();
  });
  made.listen(0, '127.0.0.1');
  await once(made, 'listening');
  return made;
}

async function closed(one: Http2Server): Promise<void> {
  for (const client of clients.splice(0)) client.destroy();
  one.close();
  await once(one, 'close');
}

function portOf(one: Http2Server): number {
  return (one.address() as AddressInfo).port;
}

/** A connection on which calls of these paths were made, one after another, and all that the server said because of them has arrived. */
async function connected(to: Http2Server, ...paths: string[]): Promise<ClientHttp2Session> {
  const client = connect(`http://127.0.0.1:${portOf(to)}`);
  clients.push(client);
  client.on('error', () => undefined);
  for (const path of paths) {
    const call = client.request({ ':method': 'POST', ':path': path }, { endStream: false });
    call.on('error', () => undefined);
    await once(call, 'response');
    await new Promise<void>((settled, failed) => {
      client.ping((error) => (error === null ? settled() : failed(error)));
    });
  }
  return client;
}

/** What it may send on the connection, and for each call. */
function windowsOf(client: ClientHttp2Session): [connection: number | undefined, call: number | undefined] {
  return [client.state.remoteWindowSize, client.remoteSettings.initialWindowSize];
}

test('a connection may send more than HTTP/2 begins with; a call of it only where the first is a session', async () => {
  expect(windowsOf(await connected(server, '/Put'))).toEqual([SIZES.connectionBytes, BEGINNING]);
  expect(windowsOf(await connected(server, '/Session', '/Get'))).toEqual([SIZES.connectionBytes, SIZES.sessionBytes]);
  expect(windowsOf(await connected(server, '/Put', '/Session'))).toEqual([SIZES.connectionBytes, BEGINNING]);
});

test('plain writes beside a session wait in the windows that HTTP/2 begins with', async () => {
  expect(windowsOf(await connected(server, '/Session', '/Put'))).toEqual([SIZES.connectionBytes, BEGINNING]);
  // What the first of them gave back is another session's.
  await connected(server, '/Session');
  expect(windowsOf(await connected(server, '/Session'))[1]).toBe(SIZES.sessionBytes);
});

test('sessions beyond the bound of all have what HTTP/2 begins with, until others close', async () => {
  const first = await connected(server, '/Session');
  expect(windowsOf(await connected(server, '/Session'))[1]).toBe(SIZES.sessionBytes);
  expect(windowsOf(await connected(server, '/Session'))).toEqual([SIZES.connectionBytes, BEGINNING]);
  first.destroy();
  await expect.poll(async () => windowsOf(await connected(server, '/Session'))[1]).toBe(SIZES.sessionBytes);
});

test('connections to other ports are left alone', async () => {
  const other = await listening();
  try {
    expect(windowsOf(await connected(other, '/Session'))).toEqual([BEGINNING, BEGINNING]);
  } finally {
    await closed(other);
  }
});
