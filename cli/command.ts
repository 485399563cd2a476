// The type of a command. Its table of options is used to read arguments and to write help.
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { didYouMean, meant } from './did-you-mean.js';
import { UsageError } from './exit.js';

/** A command's output, abort signal and surroundings. */
export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Like err, for lines that are drawn again; default: err. */
  readonly draw?: ((text: string) => void) | undefined;
  /** Width of a line of out. */
  readonly columns: number;
  /** err is a terminal: lines can be drawn again. */
  readonly live: boolean;
  readonly signal: AbortSignal;
  /** A device, or why there is none. */
  readonly findDevice: () => Promise<{ readonly device: GPUDevice; readonly adapter: string } | { readonly why: string }>;
}

export interface Option {
  readonly type: 'string' | 'boolean';
  /** May be given several times. */
  readonly multiple?: boolean;
  /** Placeholder of its value in help. */
  readonly value?: string;
  readonly help: string;
}

/** Options on the command line; a string option has its text, one that may be given several times a list. */
export type Given = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** Names of the positional arguments. The first ones may be left out if they are in brackets. */
  readonly takes: readonly string[];
  readonly options: Readonly<Record<string, Option>>;
  /** Stopped, it goes on at the next time. */
  readonly resumes?: boolean;
  /** Paragraphs after the options. */
  readonly notes: readonly string[];
  /** @returns the exit code */
  run(args: { readonly paths: readonly string[]; readonly given: Given }, io: Io): Promise<number>;
}

const COMMON: Readonly<Record<string, Option>> = {
  json: { type: 'boolean', help: 'prints one JSON document on stdout, also for errors: { error }' },
  help: { type: 'boolean', help: 'this text' },
};

const optionsOf = (command: Command): Readonly<Record<string, Option>> => ({ ...command.options, ...COMMON });

/** @throws UsageError */
export function readArgs(command: Command, argv: readonly string[]): { readonly paths: readonly string[]; readonly given: Given } {
  const options = Object.fromEntries(
    Object.entries(optionsOf(command)).map(([name, { type, multiple = false }]) => [name, { type, multiple }]),
  );
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true } as ParseArgsConfig) as typeof parsed;
  } catch (error) {
    const message = (error as Error).message.replace(/\. To specify a positional.*$/s, '');
    const [, unknown] = /^Unknown option '--([^']+)'/.exec(message) ?? [];
    throw new UsageError(message + didYouMean(unknown === undefined ? undefined : optionLike(unknown, Object.keys(options))));
  }
  const given = parsed.values as Given;
  const least = command.takes.filter((name) => !name.startsWith('[')).length;
  const count = parsed.positionals.length;
  if (!given.help && (count < least || count > command.takes.length))
    throw new UsageError(
      `${command.name}: expected ${command.takes.join(' ') || 'no argument'}, got ${parsed.positionals.join(' ') || 'nothing'}`,
    );
  return { paths: parsed.positionals, given };
}

/** With the dashes. */
function optionLike(word: string, names: readonly string[]): string | undefined {
  const name = meant(word, names);
  return name === undefined ? undefined : `--${name}`;
}

export const wrap = (text: string, width: number, indent = ''): string => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length > width - indent.length) {
      lines.push(line);
      line = '';
    }
    line += line ? ` ${word}` : word;
  }
  return [...lines, line].join(`\n${indent}`);
};

export function helpOf(command: Command, width = 80): string {
  const rows = Object.entries(optionsOf(command)).map(([name, { value, help }]) => [`--${name}${value ? ` ${value}` : ''}`, help] as const);
  const first = Math.max(...rows.map(([name]) => name.length)) + 4;
  const lines = rows.map(([name, help]) => `  ${name.padEnd(first - 2)}${wrap(help, width, ' '.repeat(first))}`);
  const notes = command.notes.map((note) => `\n${wrap(note, width)}\n`);
  return `antiquant ${command.name} ${command.takes.join(' ')} [options]\n\n${wrap(command.summary, width)}\n\n${lines.join('\n')}\n${notes.join('')}`;
}

/** An option with a value from a list. @throws UsageError */
export function choice<T extends string>(given: Given, name: string, allowed: readonly T[], otherwise: T): T {
  const value = given[name] ?? otherwise;
  if (!allowed.includes(value as T)) throw new UsageError(`--${name}: expected ${allowed.join(' or ')}, got ${value}`);
  return value as T;
}

/** An option with a whole number, with k, M or G as units. @throws UsageError */
export function whole(given: Given, name: string, { least, otherwise }: { readonly least: number; readonly otherwise: number }): number {
  const text = given[name];
  if (text === undefined) return otherwise;
  const [, digits, unit] = /^(\d+)([kMG]?)$/.exec(String(text)) ?? [];
  const value = Number(digits) * ({ k: 1e3, M: 1e6, G: 1e9 }[unit ?? ''] ?? 1);
  if (!Number.isSafeInteger(value) || value < least)
    throw new UsageError(`--${name}: expected a whole number of at least ${least}, got ${text}`);
  return value;
}

/** @throws UsageError */
export function pattern(given: Given, name: string): RegExp | undefined {
  const text = given[name];
  if (text === undefined) return undefined;
  try {
    return new RegExp(String(text));
  } catch (error) {
    throw new UsageError(`--${name}: expected a regular expression, got ${text}: ${(error as Error).message}`);
  }
}
