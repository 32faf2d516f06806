/**
 * Where a node's dashboard has its figures from: the metaserver's survey, of this node when it leads the metaserver, otherwise asked of the one that does,
 * where clients call it. So every node shows the same, whichever addresses of metrics a browser can reach.
 *
 * Made by gateway-server.ts and proxy-server.ts.
 */
import type { ChannelCredentials, ServiceError } from '@grpc/grpc-js';
import { SparrowError } from '../base/errors.ts';
import { CODE_TRAILER, DETAILS_TRAILER, errorOf, KIND_TRAILER, plainMessage } from '../base/rpc-status.ts';
import { type ClusterSource, pointOfMessage, type Surveyed, viewOfSurvey } from './dashboard/index.ts';
import { MetaClient, SurveyRequest, type SurveyResponse } from '../proto/index.ts';

export interface SurveySourceParts {
  /** 0: a proxy. */
  readonly node: number;
  readonly release: string;
  /** What this node answers itself, or a proxy's member. Throws `rerouted/NOT_LEADER` with `leaderAddress`, `unavailable/NO_LEADER`. */
  readonly own: (request: SurveyRequest, signal: AbortSignal) => Promise<SurveyResponse>;
  /** Whether it leads the metaserver. */
  readonly leads: () => boolean;
  /** What the node at that address answers; throws as `own`. */
  readonly ask: (address: string, request: SurveyRequest, signal: AbortSignal) => Promise<SurveyResponse>;
}

/** The lead may move while it is looked for. */
const NODES_ASKED_MAX = 4;
const ENDED_SHOWN = 20;
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

export class SurveySource implements ClusterSource {
  readonly #parts: SurveySourceParts;

  constructor(parts: SurveySourceParts) {
    this.#parts = parts;
  }

  get node(): number {
    return this.#parts.node;
  }

  leads(): boolean {
    return this.#parts.leads();
  }

  /** Throws what the metaserver says, or `unavailable/META_UNREACHABLE`. */
  async survey(signal: AbortSignal, historySinceMs?: number): Promise<Surveyed> {
    const { own, ask } = this.#parts;
    const request = SurveyRequest.fromPartial({ endedOperators: ENDED_SHOWN, historySinceMs });
    let survey = (): Promise<SurveyResponse> => own(request, signal);
    for (let asked = 1; ; asked++) {
      try {
        const found = await survey();
        return { view: viewOfSurvey(found, this.#parts), past: found.history.map(pointOfMessage) };
      } catch (error) {
        const address = leaderAddressOf(error);
        if (address === undefined || asked >= NODES_ASKED_MAX) throw error;
        survey = () => ask(address, request, signal);
      }
    }
  }
}

function leaderAddressOf(error: unknown): string | undefined {
  if (!(error instanceof SparrowError) || error.code !== 'NOT_LEADER') return undefined;
  const { leaderAddress } = error.details;
  return typeof leaderAddress === 'string' && leaderAddress !== '' ? leaderAddress : undefined;
}

/** Over gRPC, with a connection for this call. */
export function askForSurvey(credentials: ChannelCredentials): SurveySourceParts['ask'] {
  return (address, request, signal) =>
    new Promise((resolve, reject) => {
      const client = new MetaClient(address, credentials, {
        'grpc.use_local_subchannel_pool': 1,
        'grpc.enable_channelz': 0,
        'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      });
      const call = client.survey(request, (error, response) => {
        signal.removeEventListener('abort', cancel);
        client.close();
        if (error === null) resolve(response);
        else reject(errorFrom(error, address));
      });
      const cancel = (): void => call.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
    });
}

/** What the node says, where it has said something; otherwise that it cannot be reached. */
function errorFrom({ code, details, metadata }: ServiceError, address: string): SparrowError {
  const trailer = (name: string): string => String(metadata?.get(name)[0] ?? '');
  if (trailer(CODE_TRAILER) === '') {
    return new SparrowError('unavailable', 'META_UNREACHABLE', `${address} does not answer (${plainMessage(details)})`, { address });
  }
  return errorOf({
    status: code,
    message: plainMessage(details),
    kind: trailer(KIND_TRAILER),
    code: trailer(CODE_TRAILER),
    details: trailer(DETAILS_TRAILER),
  });
}
