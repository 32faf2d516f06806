/** The figures of an engine. */
export { collectMetrics, type MetricsSources } from './collect.ts';
