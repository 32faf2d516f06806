/** Checks the .proto files and generates proto/gen/ from them, with buf's own compiler out of its npm package. Needs no network. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const buf = join(dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')), 'bin', 'buf');

for (const step of ['lint', 'generate']) {
  // The generator plugin is a script that buf starts as `node`: it must be the Node that runs this.
  const path = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;
  const run = spawnSync(process.execPath, [buf, step], { cwd: join(root, 'proto'), stdio: 'inherit', env: { ...process.env, PATH: path } });
  if (run.status !== 0) process.exit(run.status ?? 1);
}
