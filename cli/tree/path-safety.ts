/**
 * Which paths from the store may become files. Anyone who may write keys could try to have an export write outside its directory; so a path
 * is used only when each of its parts is a plain name. Pure; the symbolic links that a directory may hold are export-tree.ts's concern.
 */
import { SLASH } from './layout.ts';

const DOT = 0x2e;
/** Longest file name of the common file systems. */
const NAME_BYTES_MAX = 255;

/** Why the path must not be written below a directory, or `undefined` when it is fit. */
export function pathProblem(path: Uint8Array): string | undefined {
  if (path.length === 0) return 'it has no name';
  for (let from = 0; from <= path.length;) {
    const slash = path.indexOf(SLASH, from);
    const to = slash < 0 ? path.length : slash;
    const bytes = to - from;
    if (bytes === 0) return from === 0 ? 'it is absolute' : 'it has an empty part';
    if (bytes === 1 && path[from] === DOT) return 'it has a part "."';
    if (bytes === 2 && path[from] === DOT && path[from + 1] === DOT) return 'it has a part ".."';
    if (bytes > NAME_BYTES_MAX) return `it has a part of ${bytes} bytes`;
    from = to + 1;
  }
  return path.includes(0) ? 'it has a zero byte' : undefined;
}
