/** What an engine tells: the types of its events, and how its parts emit them. */
export type * from './event.ts';
export { Events } from './events.ts';
