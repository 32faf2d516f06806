/** The last steps of a repair: puts a version whose files are there in the place of the one that was. */
import type { FileSystem } from '../../base/env.ts';
import { Manifest, obsoleteFiles, type Version } from '../manifest/index.ts';
import { writeBlockHeader } from './block-files.ts';
import { nextQuarantine, putAside } from './quarantine.ts';

/**
 * Each step is on disk before the next: headers of block files and the names of new files; the originals' second names; manifest and CURRENT; the
 * originals' first names go. Returns the quarantine, undefined when nothing went there.
 */
export function replaceVersion(
  fileSystem: FileSystem,
  directory: string,
  repaired: Version,
  what: {
    /** Names of files that something else took the place of. */
    readonly replaced: ReadonlySet<string>;
    /** Without a manifest nobody can say that a file is of no use: all that the version does not name is put aside too. */
    readonly everythingElse: boolean;
    /** Block files that want their header. */
    readonly headless: ReadonlySet<number>;
  },
): string | undefined {
  for (const segment of what.headless) if (repaired.segments.has(segment)) writeBlockHeader(fileSystem, directory, segment);
  fileSystem.syncDirectorySync(directory);
  const listing = fileSystem.listSync(directory);
  const aside = [...what.replaced].filter((name) => listing.includes(name));
  if (what.everythingElse) aside.push(...obsoleteFiles(repaired, listing, 0).filter((name) => !what.replaced.has(name)));
  const quarantine = aside.length > 0 ? nextQuarantine(fileSystem, directory) : undefined;
  if (quarantine !== undefined) putAside(fileSystem, directory, quarantine, aside);
  const manifestId = Manifest.write(fileSystem, directory, repaired);
  const gone = new Set(obsoleteFiles(repaired, listing, manifestId));
  for (const name of aside) if (gone.has(name)) fileSystem.unlinkSync(`${directory}/${name}`);
  fileSystem.syncDirectorySync(directory);
  return quarantine;
}
