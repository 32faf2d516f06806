/** What an engine tells: the types of its events, and how its parts emit them. */
export { STALL_REASONS } from './event.ts';
export type * from './event.ts';
export { Events } from './events.ts';
export type { Tallies, Waits, Work } from './tallies.ts';
