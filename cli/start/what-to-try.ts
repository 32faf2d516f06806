/** The last words of the guided start: commands that work as they stand. */
import { DEFAULT_ADDRESS } from '../client-command.ts';
import { TABLE } from './made-table.ts';

/** `example`: a key of the table; empty: there is none that a shell takes as it is. `leader`: the process that leads, of several nodes. */
export function whatToTry(example: string, addresses: readonly string[], leader?: number): string {
  const program = `npx sparrowkv`;
  const server = addresses[0] === DEFAULT_ADDRESS ? '' : ` --server ${addresses.join(',')}`;
  const directory = example.slice(0, example.lastIndexOf('/') + 1);
  const below = directory === '' ? '' : ` --prefix ${directory}`;
  const get = example === '' ? '' : `  ${program} get${server} --table ${TABLE} ${example}\n`;
  const cluster =
    addresses.length === 1
      ? ''
      : `
The same from each of the nodes, and from those that are left when one dies:

  ${program} get --server ${addresses[1]} greeting
  ${program} cluster status${server}
  kill -9 ${leader ?? 'PROCESS'}      # the node that leads; it is started again
  ${program} get --server ${addresses.join(',')} greeting
`;
  return `
Try, in another terminal, in this directory:

${get}  ${program} scan${server} --table ${TABLE}${below} --keys-only
  ${program} put${server} greeting hello
  ${program} get${server} greeting
  ${program} export${server} --table ${TABLE}${below} --dir ./copy
  ${program} cluster shards${server} --table ${TABLE}
  ${program} cluster nodes${server}
  ${program} --help
${cluster}
${addresses.length === 1 ? 'The server runs' : 'The nodes run'} until Ctrl-C.`;
}
