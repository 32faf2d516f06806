/** A dashboard's figures are those of whoever leads the metaserver, wherever that is. */
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../base/errors.ts';
import { SurveyPoint, type SurveyRequest, type SurveyResponse } from '../../proto/index.ts';
import { messageOfPoint, pointOfMessage } from '../../server/dashboard/index.ts';
import { SurveySource } from '../../server/survey-source.ts';
import { fakeSurvey } from './dashboard/fake-cluster.ts';

const notLeader = (leaderAddress: string): SparrowError =>
  new SparrowError('rerouted', 'NOT_LEADER', 'another node leads the metaserver', { leader: 2, leaderAddress, applied: false });

/** `nodes`: what each says, by address; '' is this node. */
function source(nodes: Readonly<Record<string, SurveyResponse | SparrowError>>): { source: SurveySource; asked: string[] } {
  const asked: string[] = [];
  const answer = async (address: string, { historySinceMs }: SurveyRequest): Promise<SurveyResponse> => {
    asked.push(historySinceMs === undefined ? address : `${address} since ${historySinceMs}`);
    const said = nodes[address]!;
    if (said instanceof SparrowError) throw said;
    return said;
  };
  return {
    source: new SurveySource({ node: 3, release: '0.1.0', own: (request) => answer('', request), leads: () => false, ask: answer }),
    asked,
  };
}

const { signal } = new AbortController();

describe('the source of the dashboard', () => {
  it('is this node when it leads', async () => {
    const { source: own, asked } = source({ '': fakeSurvey({ nodes: 3, zones: 3, shards: 3 }) });
    expect(await own.survey(signal)).toMatchObject({ view: { leader: 1, answeredBy: 3, shardsInAll: 3 }, past: [] });
    expect(asked).toEqual(['']);
  });

  it('is the node that leads, also when the lead has moved meanwhile', async () => {
    const survey = fakeSurvey({ nodes: 3, zones: 3, shards: 3 });
    const { source: other, asked } = source({ '': notLeader('b:7400'), 'b:7400': notLeader('c:7400'), 'c:7400': survey });
    expect(await other.survey(signal)).toMatchObject({ view: { leader: 1, answeredBy: 3 } });
    expect(asked).toEqual(['', 'b:7400', 'c:7400']);
  });

  it('has the history that the node which leads keeps, from the moment that is asked for', async () => {
    const survey = fakeSurvey({ nodes: 3, zones: 3, shards: 3 });
    survey.history = [SurveyPoint.fromPartial({ atMs: 9000, readsPerSecond: 7, nodesUp: 3, io: { least: 1, mean: 2, most: 3 } })];
    const { source: other, asked } = source({ '': notLeader('b:7400'), 'b:7400': survey });
    const { past } = await other.survey(signal, 8000);
    expect(asked).toEqual([' since 8000', 'b:7400 since 8000']);
    expect(past).toMatchObject([{ atMs: 9000, readsPerSecond: 7, nodesUp: 3, io: [1, 2, 3], cpu: [0, 0, 0] }]);
    expect(past.map(messageOfPoint).map(pointOfMessage)).toEqual(past);
  });

  it('does not look for ever where nodes name each other', async () => {
    const { source: lost, asked } = source({ '': notLeader('b:7400'), 'b:7400': notLeader('c:7400'), 'c:7400': notLeader('b:7400') });
    await expect(lost.survey(signal)).rejects.toMatchObject({ code: 'NOT_LEADER' });
    expect(asked.length).toBe(4);
  });

  it('says why there is none', async () => {
    const nobody = source({ '': new SparrowError('unavailable', 'NO_LEADER', 'nobody is known to lead the metaserver') });
    await expect(nobody.source.survey(signal)).rejects.toMatchObject({ code: 'NO_LEADER' });
    const silent = source({ '': notLeader('') });
    await expect(silent.source.survey(signal)).rejects.toMatchObject({ code: 'NOT_LEADER' });
  });
});
