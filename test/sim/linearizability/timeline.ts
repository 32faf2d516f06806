/**
 * Draws operations under each other, each as long as it took, in the order in which they began:
 *
 *   c0  ├──┤         write 1 -> version 2                   3 to 5 ms
 *   c1     ├╌╌╌╌╌    write 2, outcome unknown              from 4 ms
 *   c0       ├──┤    read -> 2 (version 3)                  6 to 7 ms    (*)
 *
 * (*) marks what no order found a place for.
 */
import type { Operation } from './history.ts';
import type { Model } from './model.ts';

const WIDTH_MAX = 60;

export function drawTimeline<S, I, O>(
  model: Model<S, I, O>,
  part: string,
  operations: readonly Operation<I, O>[],
  order: readonly unknown[],
): string {
  const events = operations.flatMap(({ invoked, response }) => (response ? [invoked, response.at] : [invoked])).sort((a, b) => a - b);
  const width = Math.min(events.length + 1, WIDTH_MAX);
  const column = (event: number): number => Math.floor((events.indexOf(event) * (width - 1)) / events.length);
  const placed = new Set(order);
  const rows = operations.map((operation) => {
    const { client, input, invoked, invokedMs, response } = operation;
    const begin = column(invoked);
    const end = response ? Math.max(column(response.at), begin + 1) : width - 1;
    const bar = ' '.repeat(begin) + '├' + (response ? '─'.repeat(end - begin - 1) + '┤' : '╌'.repeat(end - begin));
    const when = response ? `${ms(invokedMs)} to ${ms(response.atMs)} ms` : `from ${ms(invokedMs)} ms`;
    const what = model.describe(input, response?.output);
    return { invoked, cells: [`c${client}`, bar, what, placed.has(operation) || !response ? when : `${when}  (*)`] };
  });
  const cells = rows.sort((a, b) => a.invoked - b.invoked).map((row) => row.cells);
  const widths = [0, 1, 2].map((i) => Math.max(...cells.map((row) => row[i]!.length)));
  const lines = cells.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  '));
  const name = part === '' ? model.name : `${model.name} ${part}`;
  return [`${name}: no order explains these ${operations.length} operations; (*) found no place`, ...lines].join('\n');
}

function ms(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}
