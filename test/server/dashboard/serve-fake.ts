/** The dashboard over plain HTTP as a server serves it, with a cluster that a test makes up. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SurveyResponse } from '../../../proto/index.ts';
import type { HistoryPoint } from '../../../server/dashboard/cluster-view.ts';
import { Dashboard } from '../../../server/dashboard/dashboard.ts';
import { viewOfSurvey } from '../../../server/dashboard/view-of-survey.ts';

export interface Served extends AsyncDisposable {
  readonly address: string;
  /** What is answered from now on; an error is thrown. */
  survey: SurveyResponse | Error;
  /** What the leader keeps of the last hour; and from when on it was asked for that. */
  past: readonly HistoryPoint[];
  asked: (number | undefined)[];
  /** How often it was asked, and how many requests have come. */
  surveys: number;
  requests: number;
  /** Surveys are answered when it settles. */
  gate: Promise<void>;
  readonly dashboard: Dashboard;
  /** As if the process were gone. */
  close(): Promise<void>;
}

export async function serveFake(first: SurveyResponse | Error): Promise<Served> {
  const dashboard = new Dashboard({
    node: 2,
    leads: () => false,
    survey: async (_, sinceMs) => {
      served.surveys++;
      served.asked.push(sinceMs);
      await served.gate;
      if (served.survey instanceof Error) throw served.survey;
      return {
        view: viewOfSurvey(served.survey, { node: 2, release: '0.1.0' }),
        past: served.past.filter(({ atMs }) => atMs > (sinceMs ?? Infinity)),
      };
    },
  });
  const server: Server = createServer((request, response) => {
    served.requests++;
    if (!dashboard.answer(request, response)) response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    dashboard.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gate = Promise.resolve();
  const counts = { surveys: 0, requests: 0, asked: [] };
  const served: Served = { address, survey: first, past: [], ...counts, gate, dashboard, close, [Symbol.asyncDispose]: close };
  return served;
}
