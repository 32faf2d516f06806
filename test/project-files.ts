/** The project's own files, with or without git: everything but what is installed, generated or left behind by a run. */
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Ends with a slash. */
export const ROOT: string = fileURLToPath(new URL('..', import.meta.url));

const NOT_OURS = /^(?:\.git|node_modules|dist|build|data|coverage|proto\/gen|bench\/results)(?:\/|$)|\.(?:wasm|log|cpuprofile)$/;

/** Paths from the root, sorted. */
export function projectFiles(): string[] {
  const pathOf = (entry: { parentPath: string; name: string }): string => `${entry.parentPath}/${entry.name}`.slice(ROOT.length);
  return globSync(['**/*', '**/.*', '.ci/*'], { cwd: ROOT, withFileTypes: true, exclude: (entry) => NOT_OURS.test(pathOf(entry)) })
    .filter((entry) => entry.isFile() && !NOT_OURS.test(pathOf(entry)))
    .map(pathOf)
    .sort();
}

export function sourceFiles(): string[] {
  return projectFiles().filter((path) => /(?<!\.d)\.(?:ts|mts|mjs|js)$/.test(path));
}
