/** The service Meta: plain methods out of the verbs of meta-calls.ts, and the stream over which nodes attend. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { AttendRequest, AttendResponse, MetaServer } from '../../proto/index.ts';
import type { NodeStream, NodeStreamListener } from '../meta/attending.ts';
import { attendResponse, fromNode } from './attend-codec.ts';
import type { CallCounter } from './call-counter.ts';
import type { MetaCalls } from './meta-calls.ts';
import { statusOf } from './rpc-errors.ts';
import { plainMethod } from './unary-call.ts';

export function metaService(calls: MetaCalls, counter: CallCounter): MetaServer {
  const routed = (error: unknown): unknown => calls.routed(error);
  return {
    topology: plainMethod(counter, 'topology', (request) => calls.topology(request), routed),
    attend: (stream) => attend(calls, stream),
    createTable: plainMethod(counter, 'create_table', (request) => calls.createTable(request), routed),
    alterTable: plainMethod(counter, 'alter_table', (request) => calls.alterTable(request), routed),
    dropTable: plainMethod(counter, 'drop_table', (request) => calls.dropTable(request), routed),
    undeleteTable: plainMethod(counter, 'undelete_table', (request) => calls.undeleteTable(request), routed),
    listTables: plainMethod(counter, 'list_tables', (request) => calls.listTables(request), routed),
    survey: plainMethod(counter, 'survey', (request) => calls.survey(request), routed),
    operate: plainMethod(counter, 'operate', (request) => calls.operate(request), routed),
    policy: plainMethod(counter, 'policy', (request) => calls.policy(request), routed),
    timestamps: plainMethod(counter, 'timestamps', (request) => calls.timestamps(request), routed),
  };
}

function attend(calls: MetaCalls, call: ServerDuplexStream<AttendRequest, AttendResponse>): void {
  let over = false;
  let listener: NodeStreamListener | undefined;
  const end = (why?: unknown): void => {
    if (over) return;
    over = true;
    if (why === undefined) call.end();
    else call.emit('error', statusOf(calls.routed(why)));
    listener?.ended();
  };
  const stream: NodeStream = {
    send: (message) => {
      if (!over) call.write(attendResponse(message));
    },
    end,
  };
  call.on('data', (request: AttendRequest) => {
    if (over) return;
    try {
      listener?.receive(fromNode(request));
    } catch (error) {
      end(error);
    }
  });
  const gone = (): void => {
    if (over) return;
    over = true;
    listener?.ended();
  };
  call.on('end', () => end());
  call.on('cancelled', gone);
  call.on('error', gone);
  try {
    listener = calls.lead().attend(stream);
  } catch (error) {
    end(error);
  }
}
