/** Runs a golden script: blocks of commands (script-cluster.ts says which), `----`, and what happens. */
import { ScriptCluster } from './script-cluster.ts';

/** The script with what happens now. */
export function replay(text: string): string {
  const cluster = new ScriptCluster();
  const blocks = text.trimEnd().split(/\n\n+/);
  const replayed = blocks.map((block) => {
    const lines = block.split('\n');
    const end = lines.indexOf('----');
    const commands = end < 0 ? lines : lines.slice(0, end);
    const run = commands.filter((line) => line !== '' && !line.startsWith('#'));
    if (run.length === 0) return block;
    return [...commands, '----', ...run.map((line) => cluster.execute(line))].join('\n');
  });
  return `${replayed.join('\n\n')}\n`;
}
