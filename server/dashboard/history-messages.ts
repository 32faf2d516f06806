/** Points of a history as one node sends them to another (proto/sparrowkv/v1/meta.proto): who leads the metaserver has the last hour, all show it. Pure. */
import type { SurveyPoint, SurveySpread } from '../../proto/index.ts';
import type { HistoryPoint, Spread } from './cluster-view.ts';

const NONE: SurveySpread = { least: 0, mean: 0, most: 0 };

export function messageOfPoint({ disk, cpu, io, traffic, leaders, replicas, ...figures }: HistoryPoint): SurveyPoint {
  const message = ([least, mean, most]: Spread): SurveySpread => ({ least, mean, most });
  return {
    ...figures,
    disk: message(disk),
    cpu: message(cpu),
    io: message(io),
    traffic: message(traffic),
    leaders: message(leaders),
    replicas: message(replicas),
  };
}

export function pointOfMessage({ disk, cpu, io, traffic, leaders, replicas, ...figures }: SurveyPoint): HistoryPoint {
  const spread = ({ least, mean, most }: SurveySpread = NONE): Spread => [least, mean, most];
  return {
    ...figures,
    disk: spread(disk),
    cpu: spread(cpu),
    io: spread(io),
    traffic: spread(traffic),
    leaders: spread(leaders),
    replicas: spread(replicas),
  };
}
