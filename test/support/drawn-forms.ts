// fast-check's generators for a matrix that is quantized and written. Holds no test.
import fc from 'fast-check';
import type { FloatDType } from '../../src/dtype.js';
import { BITS } from '../../src/problem/code-width.js';

const METHODS = ['minmax', 'mse', 'hqq'] as const;
const MODES = ['tensor', 'channel', 'group'] as const;

export const drawnForms = ({ n, words }: Readonly<Record<'n' | 'words', { readonly min: number; readonly max: number }>>) =>
  fc.record({
    n: fc.integer(n),
    words: fc.integer(words),
    bits: fc.constantFrom(...BITS),
    mode: fc.constantFrom(...MODES),
    symmetric: fc.boolean(),
    method: fc.constantFrom(...METHODS),
    scaleDtype: fc.constantFrom<FloatDType>('float32', 'float16', 'bfloat16'),
  });
