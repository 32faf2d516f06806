/** What a server tells Prometheus. */
export { engineFamilies } from './engine-families.ts';
export { type Family, family, labelled } from './exposition.ts';
export { MetricsServer } from './metrics-server.ts';
export { ProcessFigures } from './process-figures.ts';
export { peerFamilies } from './peer-families.ts';
export { gatewayFamilies, replicaFamilies } from './server-families.ts';
