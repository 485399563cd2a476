// Calls public functions with one wrong argument: a part of valid arguments, at any depth, is replaced by a value of another kind. The call
// must return, if the value happens to be valid, or throw an error of the library: no raw TypeError, and no endless wait.
import { ArgumentError, DeviceLostError, FormatError, GpuError, ReadError, ShaderError, UnsupportedError } from '../../src/errors.js';
import { random } from '../cases/data.js';

/** A public function or method, and arguments that it takes. They are made anew for every call. */
export interface Door {
  readonly args: () => readonly unknown[];
  readonly call: (...args: never[]) => unknown;
}
export type Doors = Readonly<Record<string, Door>>;
export const door =
  <Args extends unknown[]>(call: (...args: Args) => unknown) =>
  (args: () => Args): Door => ({ args, call: call as unknown as Door['call'] });

/** What a caller's own code throws: it may come through as it is. */
const THEIRS = new Error("the caller's own");
const detached = <T extends { readonly buffer: ArrayBufferLike }>(array: T): T => {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
  return array;
};
const resizable = (size: number): ArrayBuffer =>
  new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(size, { maxByteLength: 4 * size });
function outOfBounds(): Uint8Array {
  const buffer = resizable(16) as ArrayBuffer & { resize(size: number): void };
  const view = new Uint8Array(buffer, 8, 8);
  buffer.resize(4);
  return view;
}
const throws = () => {
  throw THEIRS;
};
const throwing = new Proxy(
  {},
  Object.fromEntries(
    ['get', 'has', 'ownKeys', 'getPrototypeOf', 'getOwnPropertyDescriptor', 'apply', 'construct', 'set'].map((trap) => [trap, throws]),
  ),
);
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable([], {});
  revoke();
  return proxy;
};
const ALL = ['shape', 'dtype', 'data', 'name', 'bytes', 'n', 'k', 'bits', 'size', 'read', 'tensors', 'matrix', 'length', 'source'];

/** Values of other kinds, by name; `valid` is what stands there. */
const WRONG: Readonly<Record<string, (valid: unknown) => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  zero: () => 0,
  'minus one': () => -1,
  'a half': () => 1.5,
  NaN: () => Number.NaN,
  Infinity: () => Number.POSITIVE_INFINITY,
  '2^31': () => 2 ** 31,
  '2^53': () => 2 ** 53,
  'a bigint': () => 4n,
  'a symbol': () => Symbol('s'),
  'an empty string': () => '',
  'a string': () => 'x',
  'the value as a string': (valid) => (typeof valid === 'object' ? '[object Object]' : String(valid)),
  __proto__name: () => '__proto__',
  'a function': () => () => undefined,
  'a function that throws': () => throws,
  'an empty object': () => ({}),
  'an object of no class': () => Object.create(null),
  'an empty array': () => [],
  'an array of strings': () => ['1', '2'],
  'an array with holes': (valid) => (Array.isArray(valid) ? Object.assign(Array(valid.length), { 0: valid[0] }) : Array(3)),
  'the value in an array': (valid) => [valid],
  'a promise of the value': (valid) => Promise.resolve(valid),
  'a date': () => new Date(0),
  'a Map': () => new Map(),
  'an ArrayBuffer': () => new ArrayBuffer(16),
  'a DataView': () => new DataView(new ArrayBuffer(16)),
  'a Float64Array': (valid) => new Float64Array((valid as Float32Array | undefined)?.length ?? 4),
  'a Uint8Array': () => new Uint8Array(16),
  'an Int32Array': (valid) => Int32Array.from({ length: Math.min(1e4, Number((valid as number[] | undefined)?.length ?? 4)) }, () => -1),
  'a detached array': () => detached(new Float32Array(4)),
  'a detached copy': (valid) => (ArrayBuffer.isView(valid) ? detached((valid as Uint8Array).slice()) : detached(new Uint8Array(4))),
  'an array out of bounds': () => outOfBounds(),
  'an array that can grow': () => new Float32Array(resizable(64)),
  'shared memory': () => new Uint8Array(new SharedArrayBuffer(16)),
  'a proxy of the value': (valid) => (typeof valid === 'object' && valid !== null ? new Proxy(valid, {}) : new Proxy({}, {})),
  'a revoked proxy': () => revoked(),
  'a proxy that throws': () => throwing,
  'getters that throw': () => Object.defineProperties({}, Object.fromEntries(ALL.map((name) => [name, { get: throws, enumerable: true }]))),
  'getters that lie': () =>
    Object.defineProperties({}, Object.fromEntries(ALL.map((name) => [name, { get: () => name, enumerable: true }]))),
  'what cannot be text': () => ({ toString: throws, valueOf: throws, [Symbol.toPrimitive]: throws }),
  'an iterator that throws': () => ({ [Symbol.iterator]: throws }),
  'a false class': () => ({ [Symbol.toStringTag]: 'Float32Array', length: 4, buffer: new ArrayBuffer(16) }),
};

const isPlain = (value: unknown): value is Record<string, unknown> | unknown[] =>
  Array.isArray(value) || (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype);

/** Every place in arguments: the indices and names that lead there. */
function placesIn(value: unknown, depth: number): string[][] {
  if (!isPlain(value) || depth === 0) return [[]];
  return [
    [],
    ...Object.keys(value).flatMap((name) => placesIn((value as Record<string, unknown>)[name], depth - 1).map((rest) => [name, ...rest])),
  ];
}
const DEPTH = 4;

const at = (value: unknown, [name, ...rest]: readonly string[]): unknown =>
  name === undefined ? value : at((value as Record<string, unknown>)[name], rest);
function replaced(value: unknown, [name, ...rest]: readonly string[], by: unknown): unknown {
  if (name === undefined) return by;
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) };
  (copy as Record<string, unknown>)[name] = replaced((value as Record<string, unknown>)[name], rest, by);
  return copy;
}

const OURS = [ArgumentError, FormatError, UnsupportedError, DeviceLostError, GpuError, ReadError, ShaderError];
const isOurs = (error: unknown): boolean =>
  error === THEIRS || OURS.some((kind) => error instanceof kind) || (error as { name?: string } | undefined)?.name === 'GpuError';

const PATIENCE_MS = 20_000;
const late = Symbol('late');

/** The end of what a call gave: a promise's value, everything that a generator yields. */
async function settled(answer: unknown): Promise<unknown> {
  const result = await answer;
  if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
    let count = 0;
    for await (const _ of result as AsyncIterable<unknown>) if (++count > 1000) throw new Error('does not end');
  }
  return result;
}

/** What is wrong with what came of a call; undefined if nothing. */
async function fault(run: () => unknown, clean: (result: unknown) => void): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const began = performance.now();
  try {
    const waiting = new Promise<typeof late>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS, late);
    });
    const result = await Promise.race([settled(run()), waiting]);
    if (result === late) return `does not answer within ${PATIENCE_MS} ms`;
    clean(result);
    return performance.now() - began > PATIENCE_MS ? 'stands still' : undefined;
  } catch (error) {
    if (!isOurs(error))
      return error instanceof Error ? (error.stack ?? String(error)).split('\n').slice(0, 4).join('\n') : 'something that is no Error';
    return (error as Error).message.length > 2000 ? 'a message without an end' : undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Is the door open with its own arguments? A door that refuses everything would pass. */
export async function opens({ args, call }: Door, clean: (result: unknown) => void = () => {}): Promise<void> {
  const result = await settled(call(...(args() as never[])));
  clean(result);
}

/**
 * Calls every door with wrong arguments, `calls` times together, and at least once with each kind of value for each whole argument.
 * @returns how each fault came about
 */
export async function faultsOf(doors: Doors, calls: number, clean: (result: unknown) => void = () => {}): Promise<string[]> {
  const next = random(`doors ${process.env.SEED ?? 1}`);
  const kinds = Object.keys(WRONG);
  const names = Object.keys(doors);
  const faults: string[] = [];
  for (let i = 0; i < calls; i++) {
    const name = names[i % names.length]!;
    const { args, call } = doors[name]!;
    const valid = args();
    const places = placesIn(valid, DEPTH).slice(1); // not the list of arguments itself
    if (places.length === 0) continue;
    const place = places[Math.floor(next() * places.length)]!;
    const kind = kinds[(Math.floor(i / names.length) + Math.floor(next() * kinds.length)) % kinds.length]!;
    const given = replaced(valid, place, WRONG[kind]!(at(valid, place))) as never[];
    const wrong = await fault(() => call(...given), clean);
    if (wrong) faults.push(`${name}: ${kind} at ${place.join('.')}: ${wrong}`);
  }
  return faults;
}
