// What the library does by itself, as records for a logger of the caller's. It writes to no console. A logger belongs to an object that all who
// have something to say hold: a device, or the `fetch` of a load.

/** @internal Levels by code; docs/log.md says when each is written. */
export const LEVELS = {
  device: 'info',
  compiled: 'debug',
  disabled: 'warn',
  wide: 'warn',
  apart: 'warn',
  tuned: 'info',
  forgetful: 'warn',
  retried: 'warn',
  uncached: 'warn',
} as const;

/** What a record is about. */
export type LogCode = keyof typeof LEVELS;

/** One thing that the library did by itself. Its other fields are data by code, which docs/log.md lists; messages carry them. */
export interface LogRecord {
  readonly level: 'debug' | 'info' | 'warn';
  readonly code: LogCode;
  /** For readers. It is not stable. */
  readonly message: string;
  readonly [data: string]: unknown;
}

/** Receives records, at once. What it returns, throws or rejects with is dropped. */
export type Logger = (record: LogRecord) => unknown;

const loggers = new WeakMap<object, Logger>();

/** @internal Records of `of` go to `logger` from now on; without one nothing changes. Returns `of`. */
export function attach<T extends object>(of: T, logger: Logger | undefined): T {
  if (logger) loggers.set(of, logger);
  return of;
}

/** @internal A `fetch` whose records go to `logger`; without one, or without a logger, it is the given one. */
export const loggedFetch = (fetch: typeof globalThis.fetch | undefined, logger: Logger | undefined): typeof globalThis.fetch | undefined =>
  logger ? attach<typeof globalThis.fetch>((...given) => (fetch ?? globalThis.fetch)(...given), logger) : fetch;

/** @internal The logger of `of`. */
export const loggerOf = (of: object): Logger | undefined => loggers.get(of);

/** @internal Gives a record to the logger of `of`, if it has one. */
export function send(of: object, record: LogRecord): void {
  const logger = loggers.get(of);
  if (logger) (async () => logger(record))().catch(() => {});
}

/** @internal Makes a record for the logger of `of`, if it has one. */
export const log = (of: object, code: LogCode, message: string, data?: Readonly<Record<string, unknown>>): void =>
  send(of, { level: LEVELS[code], code, message, ...data });
