/** The server: `import { startServer } from 'sparrowkv/server'`. */
export { startServer, type RunningServer } from './server.ts';
export { SERVER_VERSION } from './version.ts';
export { parseListen } from './address.ts';
export { assertFree } from './free-address.ts';
export { type ClusterSettings, type NodeAddresses, parseClusterList } from './cluster-settings.ts';
export { engineDirectory } from './data-directory.ts';
export { loadSettings, resolveSettings, type ServerSettings, type ServerSettingsInput } from './settings.ts';
export { SparrowError } from '../base/errors.ts';
