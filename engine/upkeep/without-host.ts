/**
 * The version of a copy (checkpoint, restore) of an engine under a host's log: its links are files of its own. No host's number leads to them, as the
 * copy may live under another host, whose segments have the same numbers; and all of each counts, up to where its last value ends, so that what lies between
 * the values, which is the host's or another engine's, is garbage here, and goes as garbage does.
 */
import { BLOCK_HEADER_BYTES } from '../compaction/index.ts';
import type { BlockFile, Version } from '../manifest/index.ts';

export function withoutHost(version: Version): Version {
  const links = [...version.segments].filter(([, { link }]) => link !== undefined);
  return { ...version, segments: version.segments.with(new Map(links.map(([segment, file]) => [segment, owned(file)]))) };
}

function owned(file: BlockFile): BlockFile {
  const { link } = file;
  return link === undefined ? file : { ...file, bytes: BLOCK_HEADER_BYTES + link.end, link: { hostSegment: 0, end: link.end } };
}
