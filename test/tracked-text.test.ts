/** No file of the project speaks of the machine or the circumstances in which it was written. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT, projectFiles } from './project-files.ts';

const FOREIGN: readonly { what: string; pattern: RegExp }[] = [
  { what: 'path of one machine', pattern: /(?<![\w./:@-])\/(?:root|work|opt|home\/\w+|Users\/\w+)\// },
  { what: 'package registry', pattern: /\bregistry\.[a-z-]+\.[a-z]{2,}|_authToken/ },
  { what: 'number of a ticket', pattern: /\b(?:issue|ticket)s? #?\d+/i },
  { what: 'mark of unfinished work', pattern: /\b(?:TODO|FIXME|XXX)\b/ },
];
const EXEMPT = ['test/tracked-text.test.ts', 'LICENSE'];

function foreignText(path: string, text: string): string[] {
  return text.split('\n').flatMap((line, index) => {
    const found = FOREIGN.find(({ pattern }) => pattern.test(line));
    return found ? [`${path}:${index + 1}: ${found.what}: ${line.trim().slice(0, 120)}`] : [];
  });
}

describe('tracked text', () => {
  it('is free of paths, registries and tickets', () => {
    const paths = projectFiles().filter((path) => !EXEMPT.includes(path));
    expect(paths.flatMap((path) => foreignText(path, readFileSync(join(ROOT, path), 'utf8')))).toEqual([]);
  });

  it.each([
    [`cd /root/project`, 1],
    [`open('/home/someone/data')`, 1],
    [`"resolved": "https://registry.example.org/x.tgz"`, 1],
    [`see issue 12`, 1],
    [`// TODO`, 1],
    [`GET /v1/work/list`, 0],
    [`https://example.org/root/file`, 0],
    [`these issues are 3 in all`, 0],
    ['./work/main.ts', 0],
  ])('%s', (line, count) => expect(foreignText('a', line)).toHaveLength(count));
});
