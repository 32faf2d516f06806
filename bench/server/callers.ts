/**
 * The two ways in that are compared. `sdk`: the client library, whose concurrent calls share a session. `unary`: one gRPC call each, by
 * @grpc/grpc-js and the generated messages, as any gRPC user would write it.
 */
import { Client as GrpcClient, credentials, type ServiceError } from '@grpc/grpc-js';
import { connect } from '../../client/index.ts';
import { GetRequest, GetResponse, PutRequest, PutResponse } from '../../proto/index.ts';

export interface Caller {
  put(key: Buffer, value: Buffer): Promise<unknown>;
  get(key: Buffer): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

export const CALLERS: Readonly<Record<string, (address: string) => Promise<Caller>>> = { sdk: connectSdk, unary: connectUnary };

function connectSdk(address: string): Promise<Caller> {
  const client = connect(address);
  return Promise.resolve({
    put: (key, value) => client.put(key, value),
    get: (key) => client.get(key),
    close: () => client.close(),
  });
}

export interface Message<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** One call of its own: the method's name and both of its messages. */
export type UnaryCall = <A, B>(method: string, request: A, asked: Message<A>, answered: Message<B>) => Promise<B>;

/** The two verbs by calls of the service Kv. */
export function kvOver(call: UnaryCall): Pick<Caller, 'put' | 'get'> {
  return {
    put: (key, value) => call('Put', { key, value, requestId: undefined }, PutRequest, PutResponse),
    async get(key) {
      const { found, value } = await call('Get', { key, versionOnly: false, anyNode: undefined }, GetRequest, GetResponse);
      return found ? value : undefined;
    },
  };
}

function connectUnary(address: string): Promise<Caller> {
  const client = new GrpcClient(address, credentials.createInsecure());
  const call: UnaryCall = (method, request, asked, answered) =>
    new Promise((settled, failed) => {
      client.makeUnaryRequest(
        `/sparrowkv.v1.Kv/${method}`,
        (message) => Buffer.from(asked.encode(message).finish()),
        (bytes: Buffer) => answered.decode(bytes),
        request,
        (error: ServiceError | null, response) => (error ? failed(error) : settled(response!)),
      );
    });
  return Promise.resolve({
    ...kvOver(call),
    close() {
      client.close();
      return Promise.resolve();
    },
  });
}
