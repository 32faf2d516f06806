/** `sparrowkv help [command ...]`: the help of any command, however deep; what is no command is wrong usage. */
import type { Command } from 'commander';

export function addHelp(program: Command): void {
  program
    .helpCommand(false)
    .command('help [command...]')
    .description('explain a command')
    .helpOption(false)
    .action((names: string[]) => commandOf(program, names).outputHelp());
}

function commandOf(program: Command, names: readonly string[]): Command {
  let found = program;
  for (const [i, name] of names.entries()) {
    const next = found.commands.find((command) => command.name() === name || command.aliases().includes(name));
    if (!next) {
      const known = found.commands.map((command) => command.name()).join(', ');
      found.error(`error: there is no command '${names.slice(0, i + 1).join(' ')}'; there are: ${known}`);
    }
    found = next!;
  }
  return found;
}
