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
// What packages do that Node will not have in future is nothing that who runs this could change: gRPC names IP addresses to TLS.
process.noDeprecation = true;
const { run } = await import('./program.ts');
await run(process.argv);
