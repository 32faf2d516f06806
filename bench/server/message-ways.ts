/**
 * What it costs to send a message to another process over loopback and get a short answer: over a stream of gRPC, as nodes do (server/transport), and over a plain socket, as they might.
 *
 *   node bench/server/message-ways.ts [--rounds 5000]
 *
 * One message at a time, of 300 bytes (a small put) and of 64 KiB; microseconds of the processor a round for each process, ways in turn, twice.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';

type Way = 'grpc' | 'socket';

interface Sender {
  /** Settles with the answer. */
  round(): Promise<void>;
  close(): void;
}

const MESSAGE_BYTES: readonly number[] = [300, 64 * 1024];
const ANSWER = Buffer.alloc(50);
const WARM_ROUNDS = 2000;
const LIMITS = { 'grpc-node.flow_control_window': 8 * 2 ** 20, 'grpc.max_receive_message_length': -1 };
const asIs = (bytes: Buffer): Buffer => bytes;
const PATH = '/bench/messages';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5000' }, answer: { type: 'string' }, bytes: { type: 'string' } },
});
if (values.answer !== undefined) await answer(values.answer as Way, Number(values.bytes));
else
  for (let time = 0; time < 2; time++)
    for (const bytes of MESSAGE_BYTES) for (const way of ['grpc', 'socket'] as const) await measure(way, bytes);

async function measure(way: Way, bytes: number): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['--answer', way, '--bytes', String(bytes)]);
  const said = async <T>(): Promise<T> => ((await once(child, 'message')) as [T])[0];
  const { port } = await said<{ port: number }>();
  const theirs = async (): Promise<number> => {
    child.send('cpu');
    return (await said<{ cpuUs: number }>()).cpuUs;
  };
  const sender = way === 'grpc' ? overGrpc(port, bytes) : await overSocket(port, bytes);
  for (let i = 0; i < WARM_ROUNDS; i++) await sender.round();
  const rounds = Number(values.rounds);
  const before = { ours: cpuUs(), theirs: await theirs() };
  for (let i = 0; i < rounds; i++) await sender.round();
  const ours = (cpuUs() - before.ours) / rounds;
  const answering = ((await theirs()) - before.theirs) / rounds;
  console.log(`${way.padEnd(6)} ${String(bytes).padStart(6)} bytes: ${ours.toFixed(1)} us to send, ${answering.toFixed(1)} us to answer`);
  sender.close();
  child.kill();
  await once(child, 'exit');
}

function overGrpc(port: number, bytes: number): Sender {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), LIMITS);
  const stream = client.makeBidiStreamRequest(PATH, asIs, asIs);
  // It is ended by closing the client.
  stream.on('error', () => undefined);
  return {
    async round() {
      stream.write(Buffer.alloc(bytes));
      await once(stream, 'data');
    },
    close: () => client.close(),
  };
}

async function overSocket(port: number, bytes: number): Promise<Sender> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return {
    async round() {
      socket.write(Buffer.alloc(bytes));
      for (let got = 0; got < ANSWER.length;) got += ((await once(socket, 'data')) as [Buffer])[0].length;
    },
    close: () => socket.destroy(),
  };
}

/** The other process: answers each message when all of it is there, and tells its processor's time when asked. */
async function answer(way: Way, bytes: number): Promise<void> {
  process.on('message', () => process.send!({ cpuUs: cpuUs() }));
  process.send!({ port: way === 'grpc' ? await answerByGrpc() : await answerBySocket(bytes) });
}

function answerByGrpc(): Promise<number> {
  const server = new Server(LIMITS);
  const serialized = { requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs };
  server.addService(
    { messages: { path: PATH, requestStream: true, responseStream: true, ...serialized } },
    { messages: (stream: NodeJS.ReadWriteStream) => void stream.on('data', () => stream.write(ANSWER)) },
  );
  return new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error))),
  );
}

async function answerBySocket(bytes: number): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    let got = 0;
    socket.on('data', (part) => {
      for (got += part.length; got >= bytes; got -= bytes) socket.write(ANSWER);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
