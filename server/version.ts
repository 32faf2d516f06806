/** The release, out of package.json, which is one folder up from the sources and two from what is built. */
import { readFileSync } from 'node:fs';

export const SERVER_VERSION: string = readVersion();

function readVersion(): string {
  for (const up of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as { name: string; version: string };
      if (name === 'sparrowkv') return version;
    } catch {
      // Not there: the next one.
    }
  }
  return 'unknown';
}
