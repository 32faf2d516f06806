/** Rows as columns that a person can read. */

const INDENT = '  ';

/**
 * The last column is not padded. On a terminal that is too narrow for the columns each row is a paragraph: what stands first in it, then name and value
 * of the others. `width`: of the terminal; undefined: there is none.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  width: number | undefined = process.stdout.isTTY ? process.stdout.columns : undefined,
): string {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const needed = widths.reduce((sum, each) => sum + each + INDENT.length, -INDENT.length);
  if (width !== undefined && needed > width) return rows.map((row) => paragraph(head, row, width)).join('');
  return [head, ...rows]
    .map((row) => `${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join(INDENT)}\n`)
    .join('');
}

function paragraph(head: readonly string[], row: readonly string[], width: number): string {
  const lines = [`${head[0]} ${row[0]}`];
  let line = '';
  for (const [i, cell] of row.entries()) {
    if (i === 0 || cell === '-' || cell === '') continue;
    const words = `${head[i]} ${cell}`;
    if (line !== '' && line.length + 2 + words.length >= width) {
      lines.push(`${line},`);
      line = '';
    }
    line = line === '' ? `${INDENT}${words}` : `${line}, ${words}`;
  }
  return `${[...lines, line].filter((each) => each !== '').join('\n')}\n`;
}
