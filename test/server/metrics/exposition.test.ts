import { describe, expect, it } from 'vitest';
import { byLabel, family, labelled, render } from '../../../server/metrics/exposition.ts';

describe('the exposition format', () => {
  it('is a line of help, one of type and one for each sample, ended by a newline', () => {
    const text = render([
      family('a_seconds_total', 'What a is.', 0.25),
      byLabel('b_bytes', 'What b is.', 'kind', { one: 1, two: undefined, three: 3e21 }),
    ]);
    expect(text).toBe(
      [
        '# HELP a_seconds_total What a is.',
        '# TYPE a_seconds_total counter',
        'a_seconds_total 0.25',
        '# HELP b_bytes What b is.',
        '# TYPE b_bytes gauge',
        'b_bytes{kind="one"} 1',
        'b_bytes{kind="three"} 3e+21',
        '',
      ].join('\n'),
    );
  });

  it('leaves out what has no value', () => {
    expect(render([family('a', 'A.', undefined), labelled('b', 'B.', [])])).toBe('\n');
  });

  it('escapes labels and help, and has words for what is not a number of digits', () => {
    const text = render([
      labelled('a', 'one\ntwo \\', [
        { labels: { path: 'C:\\x', said: '"no"\n' }, value: Infinity },
        { labels: {}, value: -Infinity },
        { value: NaN },
      ]),
    ]);
    expect(text).toBe('# HELP a one\\ntwo \\\\\n# TYPE a gauge\na{path="C:\\\\x",said="\\"no\\"\\n"} +Inf\na{} -Inf\na NaN\n');
  });
});
