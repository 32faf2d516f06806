/**
 * The files of the page, out of the folder beside this file, read once. In a built package its scripts are JavaScript; in the sources they are
 * TypeScript, whose types are taken off here. Either way a script is found under its name with .js and with .ts, as index.html and imports say it.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

const FOLDER = fileURLToPath(new URL('page', import.meta.url));
const TYPES: ReadonlyMap<string, string> = new Map([
  ['html', 'text/html; charset=utf-8'],
  ['css', 'text/css; charset=utf-8'],
  ['svg', 'image/svg+xml'],
  ['js', 'text/javascript; charset=utf-8'],
  ['ts', 'text/javascript; charset=utf-8'],
]);
const NAME = /^([a-z-]+)\.(html|css|svg|js|ts)$/;

/** By name, such as `main.js`. */
export function readAssets(folder: string = FOLDER): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  for (const name of readdirSync(folder)) {
    const [, stem, kind] = NAME.exec(name) ?? [];
    if (stem === undefined || kind === undefined) continue;
    const text = readFileSync(join(folder, name), 'utf8');
    const body = Buffer.from(kind === 'ts' ? stripTypeScriptTypes(text) : text);
    const asset = { type: TYPES.get(kind)!, body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
    assets.set(name, asset);
    if (kind === 'ts') assets.set(`${stem}.js`, asset);
  }
  return assets;
}
