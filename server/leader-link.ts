/**
 * A node's stream to another one that may lead the metaserver: Meta.Attend over gRPC, called where clients call.
 *
 * Each stream has a connection of its own, which goes with it. A connection over which nothing comes back is noticed by gRPC's own pings.
 *
 * Made by node-parts.ts for server/meta/attendance.ts.
 */
import { type ChannelCredentials, type ServiceError, status } from '@grpc/grpc-js';
import { SparrowError } from '../base/errors.ts';
import { CODE_TRAILER, DETAILS_TRAILER, errorOf, KIND_TRAILER, plainMessage } from '../base/rpc-status.ts';
import { type AttendResponse, MetaClient } from '../proto/index.ts';
import { attendRequest, toNode } from './gateway/index.ts';
import type { FromNode, LeaderStream, LeaderStreamListener } from './meta/attending.ts';

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

export function openLeaderLink(address: string, credentials: ChannelCredentials, listener: LeaderStreamListener): LeaderStream {
  const client = new MetaClient(address, credentials, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
    'grpc.enable_retries': 0,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
    'grpc.keepalive_time_ms': 5000,
    'grpc.keepalive_timeout_ms': 3000,
  });
  const call = client.attend();
  let over = false;
  const end = (why: Error | undefined, leader: string | undefined): void => {
    if (over) return;
    over = true;
    call.cancel();
    client.close();
    listener.ended(why, leader);
  };
  call.on('data', (response: AttendResponse) => {
    if (over) return;
    try {
      const message = toNode(response);
      if (message !== undefined) listener.receive(message);
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)), undefined);
    }
  });
  call.on('error', (error: ServiceError) => {
    const refusal = refusalOf(error);
    const leader = refusal.code === 'NOT_LEADER' ? refusal.details['leaderAddress'] : undefined;
    end(refusal, typeof leader === 'string' ? leader : undefined);
  });
  call.on('end', () => end(undefined, undefined));
  return {
    send: (message: FromNode) => {
      if (!over) call.write(attendRequest(message));
    },
    end: () => {
      over = true;
      call.cancel();
      client.close();
    },
  };
}

function refusalOf({ code, details, metadata }: ServiceError): SparrowError {
  if (code === status.UNIMPLEMENTED) return new SparrowError('invalid', 'TOO_OLD', 'its release knows no metaserver');
  const trailer = (name: string): string => String(metadata?.get(name)[0] ?? '');
  return errorOf({
    status: code,
    message: plainMessage(details),
    kind: trailer(KIND_TRAILER),
    code: trailer(CODE_TRAILER),
    details: trailer(DETAILS_TRAILER),
  });
}
