/**
 * The version guard: the first thing that an executable of ours does. It stands in a file without imports, so that it runs (and says one
 * clear line) on a Node that could not load the rest.
 */
const OLDEST: readonly [major: number, minor: number] = [22, 18];

/** A sentence when this Node cannot run SparrowKV, else `undefined`. */
export function nodeVersionProblem(version: string = process.versions.node): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return undefined;
  return (
    `sparrowkv needs Node ${OLDEST.join('.')} or newer, this is ${version} (${process.execPath}). ` +
    'Upgrade it, or install one for this project: npm install node@24'
  );
}
