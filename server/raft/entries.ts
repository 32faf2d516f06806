/** Entries as they are sent: whole, or to a witness without their data. */
import type { LogEntry } from './messages.ts';

export const NO_DATA: Uint8Array = new Uint8Array(0);

/** Bytes of data that the entries carry. */
export function entriesBytes(entries: readonly LogEntry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  return bytes;
}

/** What a witness keeps: everything but the data. Changes of the configuration stay, it has to know them. */
export function withoutData(entries: readonly LogEntry[]): LogEntry[] {
  return entries.map((entry) => (entry.data.length === 0 ? entry : { ...entry, data: NO_DATA, withheldBytes: entry.data.length }));
}
