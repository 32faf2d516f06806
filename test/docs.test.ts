/** The documents hold together: links lead somewhere, files named are there, every format is drawn and has an example in bytes, commands exist. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT, projectFiles } from './project-files.ts';

const files = projectFiles();
const documents = files.filter((path) => path.endsWith('.md'));
const formats = files.filter((path) => /^docs\/formats\/.*\.md$/.test(path) && !path.endsWith('README.md'));

describe('links', () => {
  it.each(documents)('of %s lead to files and headings', (path) => {
    expect(brokenLinks(path, readFileSync(join(ROOT, path), 'utf8'))).toEqual([]);
  });

  it('are found broken when they are', () => {
    expect(brokenLinks('docs/a.md', 'see [x](nowhere.md) and [y](../README.md) and [z](glossary.md#nothing-of-the-kind)')).toEqual([
      'nowhere.md',
      'glossary.md#nothing-of-the-kind',
    ]);
  });
});

describe('files', () => {
  const FILE = /`((?:assembly|base|engine|proto|client|server|cli|test|bench|scripts|docs)\/[\w./-]*)`/g;

  it.each(documents)('that %s names are there', (path) => {
    const named = [...readFileSync(join(ROOT, path), 'utf8').matchAll(FILE)].map((match) => match[1]!);
    // bench/README.md names its own folders; proto/gen is made by the build.
    const missing = named.filter((name) => ![ROOT, join(ROOT, dirname(path))].some((base) => existsSync(join(base, name))));
    expect(missing.filter((name) => !name.startsWith('proto/gen') && !name.startsWith('bench/results'))).toEqual([]);
  });
});

describe('formats', () => {
  it('are listed in their index', () => {
    const index = readFileSync(join(ROOT, 'docs/formats/README.md'), 'utf8');
    expect(formats.length).toBeGreaterThan(4);
    expect(formats.filter((path) => !index.includes(`(${path.slice('docs/formats/'.length)})`))).toEqual([]);
  });

  it.each(formats)('%s draws its bytes and shows an example in hex', (path) => {
    const text = readFileSync(join(ROOT, path), 'utf8');
    expect(codeBlocks(text).some((block) => /^\s*\|.*\|/m.test(block) || /^\s*0x?[0-9a-f]+\s/m.test(block) || /[│┌+]-*/.test(block))).toBe(
      true,
    );
    expect(codeBlocks(text).some((block) => /(?:\b[0-9a-f]{2}\b[ \n]+){8}/i.test(block))).toBe(true);
  });
});

describe('commands in README.md', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

  it('are scripts of the package', () => {
    const named = [...readme.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map((match) => match[1]!);
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });

  it('begin with those that test and start', () => {
    const first = codeBlocks(readme)[0]!;
    expect(first).toContain('npm cit');
    expect(first).toContain('npm ci && npm start');
  });
});

describe('scripts of the package', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

  it('run files that exist', () => {
    const run = Object.values(scripts).flatMap((line) => [...line.matchAll(/\bnode (\S+\.m?[jt]s)/g)].map((match) => match[1]!));
    expect(run.length).toBeGreaterThan(4);
    expect(run.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

function brokenLinks(path: string, text: string): string[] {
  const targets = [...text.replace(/```[\s\S]*?```/g, '').matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!);
  return targets.filter((target) => !/^[a-z]+:/.test(target) && !leadsSomewhere(path, target));
}

function leadsSomewhere(from: string, target: string): boolean {
  const [file = '', heading] = target.split('#');
  const path = file === '' ? from : normalize(join(dirname(from), file));
  if (!existsSync(join(ROOT, path))) return false;
  return heading === undefined || headings(readFileSync(join(ROOT, path), 'utf8')).includes(heading);
}

/** Anchors as GitHub makes them. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replace(/ /g, '-'),
  );
}

function codeBlocks(text: string): string[] {
  return [...text.matchAll(/```\w*\n([\s\S]*?)```/g)].map((match) => match[1]!);
}
