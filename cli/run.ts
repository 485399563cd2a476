// Runs a command line: finds the command, shows help, prints errors, returns the exit code.
import { VERSION } from '../src/version.js';
import { benchLlm } from './bench-llm.js';
import { type Command, helpOf, type Io, readArgs, wrap } from './command.js';
import { didYouMean, meant } from './did-you-mean.js';
import { doctor } from './doctor.js';
import { EXIT, failureOf, UsageError } from './exit.js';
import { inspect } from './inspect.js';
import { jsonText, safeText } from './print.js';
import { quantize } from './quantize.js';
import { runModel } from './run-model.js';
import { verify } from './verify.js';

const COMMANDS: readonly Command[] = [inspect, quantize, verify, runModel, benchLlm, doctor];

function help(columns: number): string {
  const lines = COMMANDS.map(
    ({ name, takes, summary }) => `  ${`${name} ${takes.join(' ')}`.padEnd(18)}${wrap(summary, columns, ' '.repeat(20))}`,
  );
  const codes = [
    '0 success; 1 verify found a wrong or refused layer; 2 the command line is wrong; 3 a file contradicts its format;',
    '4 not possible here; 130 stopped.',
  ].join(' ');
  return `antiquant COMMAND [options]\n\n${lines.join('\n')}\n\nantiquant COMMAND --help lists the options. Exit codes:\n${wrap(codes, columns)}\n`;
}

export async function run(argv: readonly string[], given: Io): Promise<number> {
  // All commands print through safeText, since files may contain any name.
  const io: Io = {
    ...given,
    out: (text) => given.out(safeText(text)),
    err: (text) => given.err(safeText(text)),
    draw: given.draw ?? given.err,
  };
  const [name, ...rest] = argv;
  const command = COMMANDS.find((one) => one.name === name);
  const columns = Math.min(100, Math.max(40, io.columns));
  try {
    if (name === '--version') {
      io.out(`${VERSION}\n`);
      return EXIT.fine;
    }
    if (name === '--help' || name === '-h' || name === 'help') {
      io.out(help(columns));
      return EXIT.fine;
    }
    if (!command) {
      const all = COMMANDS.map((one) => one.name);
      const names = all.join(', ');
      throw new UsageError(
        name === undefined || name.startsWith('-')
          ? `expected a command: ${names}; antiquant --help tells more`
          : `${name}: expected ${names}${didYouMean(meant(name, all))}`,
      );
    }
    const args = readArgs(command, rest);
    if (args.given.help) {
      io.out(helpOf(command, columns));
      return EXIT.fine;
    }
    return await command.run(args, { ...io, columns });
  } catch (error) {
    const { code, message, error: parts } = failureOf(error, io.signal, command?.resumes);
    io.err(`antiquant: ${message}\n`);
    if (argv.includes('--json')) io.out(jsonText({ error: { ...parts, exitCode: code } }));
    return code;
  }
}
