/** The executable behind `npm start`: checks the Node version, then runs the guided start. */
import { nodeVersionProblem } from './node-version.ts';

const problem = nodeVersionProblem();
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exit(2);
}
// gRPC's own log lines are no part of what we print.
process.env['GRPC_VERBOSITY'] ??= 'NONE';
const { runStart } = await import('./start/guided-start.ts');
await runStart(process.argv);
