/** Runs the conformance suite of abstract-level on SparrowLevel and prints what tape says, as TAP. Started by conformance.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenOptions, SparrowLevel } from '../../level/index.ts';

type Suite = (options: { test: unknown; factory: (options?: object) => SparrowLevel }) => void;

const require = createRequire(import.meta.url);
const test = require('tape') as unknown;
const suite = require('abstract-level/test') as Suite;

const MIB = 1024 * 1024;

const root = mkdtempSync(join(tmpdir(), 'sparrowkv-level-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));

/** The suite opens more than a thousand databases: small ones, without a thread each. Its own options pass as they are: it compares them. */
class SmallLevel extends SparrowLevel {
  override _open(options: OpenOptions): Promise<void> {
    const settings = { memoryBytes: 64 * MIB, pageCacheBytes: MIB, memtableBytes: MIB, maxBatchBytes: MIB };
    return super._open({ ...options, settings, components: { background: 'inline' } });
  }
}

let count = 0;
suite({ test, factory: (options) => new SmallLevel(join(root, String(++count)), options) });
