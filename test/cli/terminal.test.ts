/** Bytes as text and back: the escapes and the JSON lines of the command line. */
import { isUtf8 } from 'node:buffer';

import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';

import { watched } from '../../cli/commands/engine/show.ts';
import { escapeBytes, unescapeText } from '../../cli/terminal/escape.ts';
import { entryFromJson, entryToJson } from '../../cli/terminal/json-entry.ts';
import { table as columns } from '../../cli/terminal/columns.ts';
import { formatBytes, formatRate, startProgress } from '../../cli/terminal/progress.ts';

const bytes = fc.oneof(
  fc.uint8Array(),
  fc.string({ unit: 'binary' }).map((text) => new Uint8Array(Buffer.from(text, 'utf8'))),
);
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe('escapes', () => {
  it('show text as it is and everything else byte by byte', () => {
    expect(escapeBytes(Buffer.from('docs/größe 日本.md'))).toBe('docs/größe 日本.md');
    expect(escapeBytes(Buffer.from('a\\b\n\t\r\0\x1b[31m'))).toBe('a\\\\b\\n\\t\\r\\x00\\x1b[31m');
    expect(escapeBytes(Buffer.from([0x61, 0xff, 0xc3, 0x28, 0xc3, 0xa4]))).toBe('a\\xff\\xc3(ä');
    expect(escapeBytes(Buffer.from('a\u202eb'))).toBe('a\\xe2\\x80\\xaeb');
  });

  it('tell text from other bytes as the decoder of the system does, sequence by sequence', () => {
    const plain = (text: string): boolean => !/[\\\p{C}\p{Zl}\p{Zp}]/u.test(text);
    // Bytes that begin, continue and spoil sequences, more often than chance would have them.
    const near = fc.constantFrom(0x41, 0x7f, 0x80, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xa0, 0x9f, 0xed, 0xef, 0xf0, 0x90, 0x8f, 0xf4, 0xf5);
    fc.assert(
      fc.property(fc.array(near, { maxLength: 12 }), (list) => {
        const value = Buffer.from(list);
        let expected = '';
        for (let at = 0; at < value.length;) {
          const length = [1, 2, 3, 4].find((each) => at + each <= value.length && isUtf8(value.subarray(at, at + each)));
          const piece = value.subarray(at, at + (length ?? 1));
          if (length !== undefined && plain(piece.toString())) expected += piece.toString();
          else for (const byte of piece) expected += `\\x${byte.toString(16).padStart(2, '0')}`;
          at += piece.length;
        }
        expect(escapeBytes(value)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('are read back as the bytes that they were, on one line', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const shown = escapeBytes(value);
        expect(/[\n\t\r\0]/.test(shown)).toBe(false);
        return same(unescapeText(shown), value);
      }),
    );
  });

  it.each(['\\', '\\q', '\\x1', '\\xzz', 'a\\'])('refuse %j', (text) => {
    expect(() => unescapeText(text)).toThrow(expect.objectContaining({ kind: 'invalid', code: 'ESCAPE_INVALID' }));
  });
});

describe('a table', () => {
  const rows = [
    ['1', 'default', '127.0.0.1:7400', '-'],
    ['22', 'd', '', 'full'],
  ];
  const head = ['node', 'pool', 'address', 'notes'];

  it('has columns where there is room, and into a file', () => {
    const text = 'node  pool     address         notes\n1     default  127.0.0.1:7400  -\n22    d                        full\n';
    expect(columns(head, rows, undefined)).toBe(text);
    expect(columns(head, rows, 36)).toBe(text);
  });

  it('is paragraphs on a terminal that is too narrow', () => {
    expect(columns(head, rows, 35)).toBe('node 1\n  pool default,\n  address 127.0.0.1:7400\nnode 22\n  pool d, notes full\n');
  });
});

describe('JSON lines', () => {
  it('hold text as text and other bytes as base64', () => {
    expect(entryToJson(Buffer.from('a'), Buffer.from('b\n'))).toBe('{"key":"a","value":"b\\n"}');
    expect(entryToJson(Buffer.from([0xff]), Buffer.from([0]))).toBe('{"keyBase64":"/w==","value":"\\u0000"}');
    expect(entryToJson(Buffer.from('a'))).toBe('{"key":"a"}');
  });

  it('are read back as the bytes that they were', () => {
    fc.assert(
      fc.property(bytes, bytes, (key, value) => {
        const back = entryFromJson(entryToJson(key, value));
        return same(back.key, key) && same(back.value, value);
      }),
    );
  });

  it.each([
    '',
    '[]',
    'null',
    '{}',
    '{"key":"a"}',
    '{"key":"a","value":1}',
    '{"key":"a","keyBase64":"YQ==","value":""}',
    '{"keyBase64":"YQ","value":""}',
    '{"key":"a","valueBase64":"*"}',
    '{"key":"a","vaule":""}',
  ])('refuse %j', (line) => {
    expect(() => entryFromJson(line)).toThrow(expect.objectContaining({ kind: 'invalid', code: 'JSON_ENTRY' }));
  });
});

describe('progress without a terminal', () => {
  it.each([
    [null, 'verifying: 2.0 MB\n'],
    [['entry', 'entries'] as const, 'verifying: 7 entries, 2.0 MB\n'],
    [undefined, 'verifying: 7 files, 2.0 MB\n'],
  ])('counts %j', (items, line) => {
    vi.useFakeTimers();
    try {
      const written: string[] = [];
      const stream = { write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
      const progress = startProgress('verifying', { files: 0, bytes: 0, ...(items !== undefined && { items }) }, stream);
      vi.advanceTimersByTime(6000);
      progress.advance(7, 2e6);
      expect(written).toEqual([line]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('Ctrl-C', () => {
  it('ends long work with a line that says so', async () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const { exitCode } = process;
    try {
      await watched('verifying', ({ signal, onProgress }) => {
        onProgress(2e6);
        process.emit('SIGINT', 'SIGINT');
        signal.throwIfAborted();
        return Promise.resolve(0);
      });
      expect(process.exitCode).toBe(130);
      expect(write.mock.calls.map(([text]) => String(text)).join('')).toMatch(/verifying was given up after 2\.0 MB in .* s \(.*\/s\)\n$/);
    } finally {
      process.exitCode = exitCode;
      write.mockRestore();
    }
  });
});

describe('figures', () => {
  it('are short', () => {
    expect([0, 999, 1000, 9_949, 9_950, 123_456, 999_600, 5e9].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '9.9 kB',
      '9.9 kB',
      '123 kB',
      '1.0 MB',
      '5.0 GB',
    ]);
    expect(formatRate(1, 5_000_000, 2_000)).toBe('1 file, 5.0 MB in 2.0 s (1 files/s, 2.5 MB/s)');
    expect(formatRate(1, 41, 3_000)).toBe('1 file, 41 B in 3.0 s (0 files/s, 14 B/s)');
    expect([999.4, 999.6].map(formatBytes)).toEqual(['999 B', '1.0 kB']);
    expect(formatRate(0, 5_000_000, 2_000, null)).toBe('5.0 MB in 2.0 s (2.5 MB/s)');
  });
});
