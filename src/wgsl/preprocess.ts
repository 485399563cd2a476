// The preprocessor: a file of shaders/ and a set of params → the WGSL text that runs. Pure.
//
// It has seven directives and no substitution. Params and counters become `const` lines. So the text that runs is the file without the
// branches not taken, with included files, repeated lines and `const` lines. An unknown name is an error that starts with the line's place.
//
//   #param NAME v1 v2 …                   an unsigned param and its legal values; becomes `const NAME = <value>u;`
//   #let NAME EXPR                        a number that follows from params; becomes `const NAME = <value>u;`
//   #include "lib/x.wgsl"                 path from shaders/; pasted once
//   #if EXPR · #elif EXPR · #else · #endif    over integers and params: ! * / + - == != < > <= >= && || ( )
//   #repeat NAME EXPR … #end              the lines EXPR times, each time in a block that begins with `const NAME = 0u;`, `1u`, …
//   #error TEXT                           an illegal combination, in words

/** Values of a shader's `#param`s, by name: whole numbers of at least 0. */
export type Params = Readonly<Record<string, number>>;
/** Source of a line of the output. */
export interface Place {
  readonly file: string;
  readonly line: number;
}
export interface Preprocessed {
  readonly code: string;
  /** One entry for each line of `code`. */
  readonly places: readonly Place[];
}

interface Branch {
  readonly opened: Place;
  /** Is the text of the current branch kept? */
  active: boolean;
  /** Has a branch of this #if been kept already? */
  taken: boolean;
  sawElse: boolean;
}

const directive = /^\s*#(\w*)\s*(.*?)\s*$/;
const withoutComment = (text: string): string => text.replace(/\s*\/\/.*$/, '');

class Failure extends Error {
  constructor(place: Place, text: string) {
    super(`shaders/${place.file}:${place.line}: ${text}`);
  }
}

/**
 * Returns the WGSL of `entry` for `params`, and the place in shaders/ of every line.
 * @param sources path from shaders/ → text
 * @throws Error whose message starts with `shaders/file:line:`
 */
export function preprocess(sources: Readonly<Record<string, string>>, entry: string, params: Params): Preprocessed {
  const code: string[] = [];
  const places: Place[] = [];
  const hoisted = new Map<string, Place>();
  const declared = new Map<string, number>();
  const lets = new Set<string>();
  const included = new Set<string>();

  const paste = (file: string, from: Place): void => {
    const text = sources[file];
    if (text === undefined) throw new Failure(from, `no file shaders/${file}`);
    included.add(file);
    const lines = text.split('\n');
    if (lines.at(-1) === '') lines.pop();
    walk(file, lines, 0, lines.length);
  };

  /** Processes lines [begin, end) of a file: all of it, or the lines between #repeat and #end. */
  const walk = (file: string, lines: readonly string[], begin: number, end: number): void => {
    const open: Branch[] = [];
    const live = (): boolean => open.every((branch) => branch.active);
    for (let index = begin; index < end; index++) {
      const line = lines[index]!;
      const place = { file, line: index + 1 };
      const match = directive.exec(line);
      if (!match) {
        if (!live()) continue;
        if (/^\s*(enable|requires)\b/.test(line)) {
          if (!hoisted.has(line.trim())) hoisted.set(line.trim(), place);
          continue;
        }
        if (line === '' && code.at(-1) === '') continue; // a stripped comment leaves an empty line
        code.push(line);
        places.push(place);
        continue;
      }
      const [, name, raw] = match as unknown as [string, string, string];
      const argument = withoutComment(raw);
      const test = (): boolean => evaluate(argument, declared, place) !== 0;
      const innermost = (): Branch => {
        const branch = open.at(-1);
        if (!branch) throw new Failure(place, `#${name} without #if`);
        return branch;
      };
      if ((name === 'else' || name === 'endif') && argument !== '') throw new Failure(place, `unexpected '${argument}' after #${name}`);
      switch (name) {
        case 'if': {
          const keep = live() && test();
          open.push({ opened: place, active: keep, taken: keep, sawElse: false });
          continue;
        }
        case 'elif': {
          const branch = innermost();
          if (branch.sawElse) throw new Failure(place, '#elif after #else');
          branch.active = false;
          if (!branch.taken && outerLive(open) && test()) branch.active = branch.taken = true;
          continue;
        }
        case 'else': {
          const branch = innermost();
          if (branch.sawElse) throw new Failure(place, 'a second #else');
          branch.sawElse = true;
          branch.active = !branch.taken;
          branch.taken = true;
          continue;
        }
        case 'endif':
          innermost();
          open.pop();
          continue;
        case 'repeat': {
          const last = endOfRepeat(lines, index, end);
          if (last === undefined) throw new Failure(place, '#repeat without #end');
          if (live()) repeat(argument, place, lines, last);
          index = last;
          continue;
        }
        case 'end':
          throw new Failure(place, '#end without #repeat');
      }
      if (!live()) continue;
      switch (name) {
        case 'param': {
          const [param, ...legal] = argument.split(/\s+/);
          if (!param || !/^[A-Z][A-Z0-9_]*$/.test(param)) throw new Failure(place, `#param needs an UPPER_SNAKE name, got '${param}'`);
          if (legal.length === 0 || !legal.every((v) => /^\d+$/.test(v)))
            throw new Failure(place, `#param ${param} needs its legal unsigned values`);
          if (declared.has(param)) throw new Failure(place, `#param ${param} is declared twice`);
          const value = params[param];
          if (value === undefined) throw new Failure(place, `no value for param ${param}`);
          if (!legal.includes(String(value))) throw new Failure(place, `param ${param} must be one of ${legal.join(' ')}, got ${value}`);
          declared.set(param, value);
          const comment = raw.slice(argument.length).trim();
          code.push(`const ${param} = ${value}u;${comment ? ` ${comment}` : ''}`);
          places.push(place);
          continue;
        }
        case 'let': {
          const [, derived, text] = /^([A-Z][A-Z0-9_]*)\s+(.+)$/.exec(argument) ?? [];
          if (!derived || !text) throw new Failure(place, `#let needs an UPPER_SNAKE name and a value, got '${argument}'`);
          if (declared.has(derived)) throw new Failure(place, `#let ${derived} is declared twice`);
          const value = evaluate(text, declared, place);
          if (value < 0) throw new Failure(place, `#let ${derived}: '${text}' is ${value}`);
          declared.set(derived, value);
          lets.add(derived);
          const comment = raw.slice(argument.length).trim();
          code.push(`const ${derived} = ${value}u;${comment ? ` ${comment}` : ''}`);
          places.push(place);
          continue;
        }
        case 'include': {
          const path = /^"([^"]+)"$/.exec(argument)?.[1];
          if (!path) throw new Failure(place, `#include needs a quoted path, got '${argument}'`);
          if (!included.has(path)) paste(path, place);
          continue;
        }
        case 'error':
          throw new Failure(place, argument);
        default:
          throw new Failure(place, `unknown directive #${name}`);
      }
    }
    const unclosed = open.at(-1);
    if (unclosed) throw new Failure(unclosed.opened, '#if without #endif');
  };

  /** Repeats the lines between #repeat at `place` and #end at line index `last`. */
  const repeat = (argument: string, place: Place, lines: readonly string[], last: number): void => {
    const [, counter, count] = /^([a-z]\w*)\s+(.+)$/.exec(argument) ?? [];
    if (!counter || !count) throw new Failure(place, `#repeat needs a snake_case name and a count, got '${argument}'`);
    if (declared.has(counter)) throw new Failure(place, `#repeat ${counter}: the name is taken`);
    const times = evaluate(count, declared, place);
    if (times < 0) throw new Failure(place, `#repeat ${counter}: '${count}' is ${times}`);
    for (let i = 0; i < times; i++) {
      declared.set(counter, i);
      code.push(`{ const ${counter} = ${i}u;`);
      places.push(place);
      walk(place.file, lines, place.line, last);
      code.push('}');
      places.push({ ...place, line: last + 1 });
    }
    declared.delete(counter);
  };

  const start = { file: entry, line: 0 };
  paste(entry, start);
  for (const name of Object.keys(params)) {
    if (!declared.has(name) || lets.has(name)) throw new Failure(start, `param ${name} is not declared`);
  }
  return {
    code: [...hoisted.keys(), ...code, ''].join('\n'),
    places: [...hoisted.values(), ...places],
  };
}

/** The index of the #end that belongs to the #repeat at `begin`. */
function endOfRepeat(lines: readonly string[], begin: number, end: number): number | undefined {
  let depth = 0;
  for (let index = begin; index < end; index++) {
    const name = directive.exec(lines[index]!)?.[1];
    if (name === 'repeat') depth++;
    if (name === 'end' && --depth === 0) return index;
  }
  return undefined;
}

/** Are all branches around the innermost one kept? */
const outerLive = (open: readonly Branch[]): boolean => open.slice(0, -1).every((branch) => branch.active);

// Binary operators by precedence, loosest first.
const LEVELS: readonly Readonly<Record<string, (a: number, b: number) => number>>[] = [
  { '||': (a, b) => Number(a !== 0 || b !== 0) },
  { '&&': (a, b) => Number(a !== 0 && b !== 0) },
  { '==': (a, b) => Number(a === b), '!=': (a, b) => Number(a !== b) },
  { '<': (a, b) => Number(a < b), '>': (a, b) => Number(a > b), '<=': (a, b) => Number(a <= b), '>=': (a, b) => Number(a >= b) },
  { '+': (a, b) => a + b, '-': (a, b) => a - b },
  { '*': (a, b) => a * b, '/': (a, b) => a / b },
];

function evaluate(text: string, params: ReadonlyMap<string, number>, place: Place): number {
  const tokens = text.match(/\d+|\w+|==|!=|<=|>=|&&|\|\||[!<>()*/+-]|\S/g) ?? [];
  let at = 0;
  const primary = (): number => {
    const token = tokens[at++];
    if (token === undefined) throw new Failure(place, `'${text}' ends too early`);
    if (token === '!') return Number(primary() === 0);
    if (token === '(') {
      const value = binary(0);
      if (tokens[at++] !== ')') throw new Failure(place, `'${text}' lacks a )`);
      return value;
    }
    if (/^\d+$/.test(token)) return Number(token);
    if (!/^\w+$/.test(token)) throw new Failure(place, `unexpected '${token}' in '${text}'`);
    const value = params.get(token);
    if (value === undefined) throw new Failure(place, `${token} is not a declared param`);
    return value;
  };
  const binary = (level: number): number => {
    const operators = LEVELS[level];
    if (!operators) return primary();
    let left = binary(level + 1);
    while (at < tokens.length && Object.hasOwn(operators, tokens[at]!)) {
      const apply = operators[tokens[at++]!]!;
      left = apply(left, binary(level + 1));
      if (!Number.isInteger(left)) throw new Failure(place, `'${text}' is no whole number`);
    }
    return left;
  };
  const value = binary(0);
  if (at < tokens.length) throw new Failure(place, `unexpected '${tokens[at]}' in '${text}'`);
  return value;
}
