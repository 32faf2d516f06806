#!/usr/bin/env node
/** The executable `sparrowkv`: checks the Node version, then loads and runs the program. */
import { nodeVersionProblem } from './node-version.ts';

const problem = nodeVersionProblem();
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exit(2);
}
// gRPC's own log lines are no part of what we print.
process.env['GRPC_VERBOSITY'] ??= 'NONE';
const { run } = await import('./program.ts');
await run(process.argv);
