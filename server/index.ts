/** The server: `import { startServer } from 'sparrowkv/server'`. */
export { SERVER_VERSION, startServer, type RunningServer } from './server.ts';
export { loadSettings, parseListen, resolveSettings, type ServerSettings, type ServerSettingsInput } from './settings.ts';
export { SparrowError } from '../base/errors.ts';
