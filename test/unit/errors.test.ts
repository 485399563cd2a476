// docs/errors.md has every class with its code, its fields and what to do; codes are constants that messages keep.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { failureOf, UsageError } from '../../cli/exit.js';
import * as errors from '../../src/errors.js';
import { carriedError, errorOf } from '../../src/llm-worker/carried.js';

const { ArgumentError, DeviceLostError, FormatError, GpuError, ReadError, ShaderError, UnsupportedError } = errors;
/** One of each. */
const ALL = [
  new ArgumentError('x', 'a', 'b'),
  new UnsupportedError('x', ['a']),
  new ShaderError('x', ['a']),
  new GpuError('x', 'a'),
  new DeviceLostError('destroyed', 'a'),
  new ReadError('x', 'a', { code: 'EMFILE', status: 500 }),
  new FormatError({ file: 'x', tensor: 'y', field: 'z' }, 'a', 'b'),
];
const page = readFileSync(join(import.meta.dirname, '../../docs/errors.md'), 'utf8');

test('these are all classes', () => {
  const classes = Object.values(errors).filter((value) => typeof value === 'function' && value.prototype instanceof Error);
  expect(new Set(ALL.map((error) => error.constructor))).toEqual(new Set(classes));
  expect(new Set(ALL.map(({ errorCode }) => errorCode)).size).toBe(ALL.length);
});

test('the table has each with its fields', () => {
  const rows = [...page.matchAll(/^\| `(ANTIQUANT_\w+)` \| (\w+) \| (.*?) ?\|$/gm)].map(([, code, name, fields]) => ({
    code,
    name,
    fields: [...fields!.matchAll(/`(\w+)`/g)].map(([, field]) => field!),
  }));
  const own = ALL.map((error) => ({
    code: error.errorCode,
    name: error.name,
    fields: Object.keys(error).filter((key) => key !== 'name' && key !== 'errorCode'),
  }));
  const sorted = (list: typeof rows) => list.map((row) => ({ ...row, fields: [...row.fields].sort() }));
  expect(sorted(rows)).toEqual(sorted(own));
});

describe.each(ALL)('$errorCode', (error) => {
  test('has a section that says when, and what to do', () => {
    const section = page.split(/^## /m).find((part) => part.startsWith(`${error.errorCode}\n`));
    expect(section).toMatch(/\n\nWhat to do: /);
  });
  test('passes through a message, and is in the document of the command line', () => {
    expect(errorOf(structuredClone(carriedError(error)))).toMatchObject({ errorCode: error.errorCode, name: error.name });
    expect(failureOf(error).error).toMatchObject({ errorCode: error.errorCode });
    expect(failureOf(error).message).toBe(error.message);
  });
});

test('a ReadError’s code stays the system’s', () => {
  expect(new ReadError('x', 'a', { code: 'EMFILE' })).toMatchObject({ code: 'EMFILE', errorCode: 'ANTIQUANT_READ' });
});

test('the command line’s own', () => {
  expect(failureOf(new UsageError('a')).error).toMatchObject({ name: 'UsageError', errorCode: 'ANTIQUANT_USAGE' });
});
