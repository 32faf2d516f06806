/** What a server tells Prometheus. */
export { engineFamilies } from './engine-families.ts';
export { type Family, family, labelled } from './exposition.ts';
export { MetricsServer } from './metrics-server.ts';
export { ProcessFigures } from './process-figures.ts';
export { metaFamilies, type MetaFigures } from './meta-families.ts';
export { peerFamilies } from './peer-families.ts';
export { mergedFamilies } from './merged-families.ts';
export { replicaFamilies } from './replica-families.ts';
export { gatewayFamilies, quotaFamily } from './server-families.ts';
