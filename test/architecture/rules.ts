/**
 * The rules of the dependency table, as a function from sources to violations (each a line `file:line: what is wrong`).
 *
 *   direction   a file imports its own part, or what its part may import
 *   door        a folder with an index.ts is entered by it, and does not import it itself
 *   cycle       no file imports itself over others (what it loads in another thread or process does not count)
 *   grade       banned names, `node:` modules below the edge, packages that the table does not give
 */
import { posix } from 'node:path';
import { BANNED, HARMLESS_MODULES, PARTS, type Part } from './table.ts';
import { readSource, type Reference, type SourceFile } from './source-file.ts';

/** `sources`: path from the root to text. */
export function violations(sources: ReadonlyMap<string, string>, parts: readonly Part[] = PARTS): string[] {
  const files = [...sources].map(([path, text]) => readSource(path, text));
  const folders = foldersWithDoor(sources.keys());
  return [
    ...files.flatMap((file) => ruleOfPart(file, parts)),
    ...files.flatMap((file) => ruleOfDoors(file, parts, folders)),
    ...cycles(files),
  ].toSorted();
}

export function partOf(path: string, parts: readonly Part[] = PARTS): Part | undefined {
  return parts.filter((part) => isWithin(path, part.path)).toSorted((a, b) => b.path.length - a.path.length)[0];
}

function ruleOfPart(file: SourceFile, parts: readonly Part[]): string[] {
  const part = partOf(file.path, parts);
  if (!part) return [`${file.path}:1: belongs to no part of the dependency table`];
  const found: string[] = [];
  for (const reference of file.references) {
    const wrong = wrongImport(reference, part, parts);
    if (wrong !== undefined) found.push(`${file.path}:${reference.line}: ${wrong}`);
  }
  const banned = BANNED[part.grade];
  for (const { line, name } of file.uses) {
    if (Object.hasOwn(banned, name)) found.push(`${file.path}:${line}: ${part.grade} code may not use ${name} (instead: ${banned[name]})`);
  }
  return found;
}

function wrongImport({ target }: Reference, part: Part, parts: readonly Part[]): string | undefined {
  if (target.startsWith('node:')) {
    if (part.grade === 'edge' || part.grade === 'tool' || HARMLESS_MODULES.includes(target)) return undefined;
    return `${part.grade} code may not import ${target}`;
  }
  if (target.startsWith('npm:')) {
    const specifier = target.slice('npm:'.length);
    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
    return part.packages.includes('*') || part.packages.includes(name) ? undefined : `${part.path} may not import package ${name}`;
  }
  const other = partOf(target, parts);
  if (!other) return `${target} belongs to no part of the dependency table`;
  const home = homeOf(part, parts);
  const otherHome = homeOf(other, parts);
  if (home === otherHome) return undefined;
  const allowed = [...part.imports, ...home.imports];
  return allowed.some((path) => path === '*' || path === otherHome.path || path === target)
    ? undefined
    : `${part.path} may not import ${target}`;
}

/** A file with a grade of its own is still a file of the folder around it, where there is one. */
function homeOf(part: Part, parts: readonly Part[]): Part {
  return isFile(part.path) ? (partOf(posix.dirname(part.path), parts) ?? part) : part;
}

function ruleOfDoors(file: SourceFile, parts: readonly Part[], folders: ReadonlySet<string>): string[] {
  const found: string[] = [];
  const free = partOf(file.path, parts)?.grade === 'tool';
  for (const { line, target } of file.references) {
    if (isOutside(target)) continue;
    if (target === posix.join(posix.dirname(file.path), 'index.ts')) {
      found.push(`${file.path}:${line}: a folder does not import its own index.ts`);
      continue;
    }
    if (free) continue;
    for (let folder = posix.dirname(target); folder !== '.'; folder = posix.dirname(folder)) {
      if (!folders.has(folder)) continue;
      const inside = isWithin(file.path, folder);
      if (inside && target === `${folder}/index.ts`) found.push(`${file.path}:${line}: a folder does not import its own index.ts`);
      if (!inside && target !== `${folder}/index.ts`)
        found.push(`${file.path}:${line}: ${folder} is entered by its index.ts, not by ${target}`);
    }
  }
  return found;
}

/** One line for each group of files that import one another (strongly connected components, Tarjan 1972). */
function cycles(files: readonly SourceFile[]): string[] {
  const edges = new Map(files.map(({ path, references }) => [path, references.filter(({ apart }) => !apart).map(({ target }) => target)]));
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const found: string[] = [];

  const visit = (path: string): void => {
    order.set(path, order.size);
    lowest.set(path, order.get(path)!);
    stack.push(path);
    for (const target of edges.get(path)!) {
      if (!edges.has(target)) continue;
      if (!order.has(target)) {
        visit(target);
        lowest.set(path, Math.min(lowest.get(path)!, lowest.get(target)!));
      } else if (stack.includes(target)) lowest.set(path, Math.min(lowest.get(path)!, order.get(target)!));
    }
    if (lowest.get(path) !== order.get(path)) return;
    const group = stack.splice(stack.indexOf(path));
    if (group.length > 1 || edges.get(path)!.includes(path)) found.push(`${path}:1: cycle of imports: ${group.toSorted().join(', ')}`);
  };
  for (const path of edges.keys()) if (!order.has(path)) visit(path);
  return found;
}

function foldersWithDoor(paths: Iterable<string>): Set<string> {
  return new Set([...paths].filter((path) => posix.basename(path) === 'index.ts').map((path) => posix.dirname(path)));
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function isFile(path: string): boolean {
  return path.endsWith('.ts');
}

/** Not a file of ours. */
function isOutside(target: string): boolean {
  return target.startsWith('npm:') || target.startsWith('node:');
}
