import { expect, test } from 'vitest';
import { ReadError } from '../../src/errors.js';
import { loadOwn } from '../../src/gpu/own-file.js';

test('a file of the library that cannot be fetched is a ReadError, and is asked for again', async () => {
  const answers = [Promise.reject(new TypeError('Failed to fetch dynamically imported module')), Promise.resolve({ run: 1 })];
  const load = () => loadOwn('the self-test', () => answers.shift()!);
  const refused = load();
  await expect(refused).rejects.toThrow(ReadError);
  await expect(refused).rejects.toThrow('antiquant, the self-test: cannot be read: Failed to fetch dynamically imported module');
  expect(await load()).toEqual({ run: 1 });
});
