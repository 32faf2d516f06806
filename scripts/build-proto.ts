/**
 * Checks the .proto files and generates proto/gen/ from them, with buf's own compiler out of its npm package. Needs no network.
 * Beside the messages it writes descriptors.ts: the files as the reflection service shows them.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const proto = join(root, 'proto');
const buf = join(dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')), 'bin', 'buf');

run('lint');
run('generate');
const image = run('build', '--exclude-source-info', '-o', '-#format=binpb').toString('base64');
const lines = image.match(/.{1,120}/g)!.map((line) => `  '${line}',`);
writeFileSync(
  join(proto, 'gen', 'descriptors.ts'),
  [
    '/** The FileDescriptorSet of proto/sparrowkv, base64. Generated. */',
    'export const DESCRIPTORS: string = [',
    ...lines,
    "].join('');",
    '',
  ].join('\n'),
);

function run(...args: string[]): Buffer {
  // The generator plugin is a script that buf starts as `node`: it must be the Node that runs this.
  const path = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;
  const step = spawnSync(process.execPath, [buf, ...args], {
    cwd: proto,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PATH: path },
    maxBuffer: 64 * 1024 * 1024,
  });
  if (step.status !== 0) {
    process.stderr.write(step.stdout);
    process.exit(step.status ?? 1);
  }
  return step.stdout;
}
