/** What the guided start says, and how it shows paths. */
import { relative, resolve } from 'node:path';

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Below the current directory relative to it, as it can be typed. */
export function shown(path: string): string {
  const below = relative(process.cwd(), resolve(path));
  return below.startsWith('..') ? resolve(path) : `./${below}`;
}
