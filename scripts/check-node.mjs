/*
 * The first thing that an npm script runs: refuses a Node that cannot run the sources, in one line.
 * Plain old JavaScript without imports, so that any Node from 13 on gets as far as printing it.
 */
var OLDEST = [22, 18];
var parts = process.versions.node.split('.');
var major = Number(parts[0]);
var minor = Number(parts[1]);

if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  process.stderr.write(
    'SparrowKV needs Node ' +
      OLDEST.join('.') +
      ' or newer, this is ' +
      process.versions.node +
      ' (' +
      process.execPath +
      '). ' +
      'Run `npm ci`: it installs the right one, and npm scripts then use it.\n',
  );
  process.exit(1);
}
