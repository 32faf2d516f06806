/** Engines under a host's log: what stands in the place of a log, of its writer, and of the engine. */
export { HostLinks } from './host-links.ts';
export { HostedLog } from './hosted-log.ts';
export { HostedWriter } from './hosted-writer.ts';
export { SparrowHostedEngine } from './hosted-engine.ts';
export { checkHosted } from './check-hosted.ts';
