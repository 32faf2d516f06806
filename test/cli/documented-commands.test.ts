/** Commands that documents show are commands of the program, with options that it has. They are not run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../cli/program.ts';
import { ROOT } from '../project-files.ts';

const DOCUMENTS = ['README.md', 'docs/operations.md', 'deploy/compose.yaml', 'deploy/kubernetes.yaml'];
/** One of several: `verify|backup`. */
const CHOICE = /^[a-z-]+(?:\|[a-z-]+)+$/;

/** At the beginning, or in a container. */
const BEGINNING = /^(?:\$ |npx |.*\bexec node\d |.* -- )?\s*sparrowkv ((?!serves\b)[a-z].*)$/;

/** What follows `sparrowkv` in lines of shell blocks and in `code`, up to a comment. */
function shown(text: string): string[] {
  const blocks = [...text.matchAll(/```(?:sh)?\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.replaceAll('\\\n', ' ').split('\n'));
  const comments = text.split('\n').filter((line) => line.startsWith('#   '));
  const inline = [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`]+)`/g)].map(([, code]) => code!.replaceAll('\n', ' '));
  return [...blocks, ...comments, ...inline].flatMap((line) => {
    const [, command] = BEGINNING.exec(line.replace(/\s#\s.*$/, '').replace(/^#\s+/, '')) ?? [];
    return command === undefined ? [] : [command.trim()];
  });
}

/** What is wrong with it; undefined: nothing. */
function problemOf(line: string): string | undefined {
  let command: Command = createProgram();
  const words = line.split(/\s+/);
  while (words.length > 0 && command.commands.length > 0) {
    const names = CHOICE.test(words[0]!) ? words[0]!.split('|') : [words[0]!];
    const known = command.commands.filter((each) => names.includes(each.name()) || each.aliases().some((alias) => names.includes(alias)));
    if (known.length < names.length && names[0] !== 'help')
      return /^[A-Z.]/.test(names[0]!) ? undefined : `${line}: no command ${names.join('|')}`;
    if (names[0] === 'help') return undefined;
    command = known[0]!;
    words.shift();
  }
  for (const option of words.filter((word) => word.startsWith('-')).map((word) => word.split('=')[0]!)) {
    if (!command.options.some(({ long, short }) => option === long || option === short)) return `${line}: no option ${option}`;
  }
  return undefined;
}

describe('commands in', () => {
  it.each(DOCUMENTS)('%s are there, with their options', (path) => {
    const lines = shown(readFileSync(join(ROOT, path), 'utf8'));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.flatMap((line) => problemOf(line) ?? [])).toEqual([]);
  });

  it('are found wrong when they are', () => {
    expect(shown('```sh\nnpx sparrowkv put a b     # note\n```\n and `sparrowkv cluster frob 3`')).toEqual(['put a b', 'cluster frob 3']);
    expect(problemOf('cluster frob 3')).toBe('cluster frob 3: no command frob');
    expect(problemOf('cluster move 16 --form 2')).toBe('cluster move 16 --form 2: no option --form');
    expect(problemOf('engine verify|restore DIR')).toBeUndefined();
  });
});
