// The quant_state of a bitsandbytes Linear4bit: JSON in a tensor of bytes.
// Rule: github.com/bitsandbytes-foundation/bitsandbytes, functional.py (QuantState.as_dict), utils.py (pack_dict_to_tensor).

import { FormatError } from '../errors.js';
import { rawTensor } from '../files/given.js';
import { at, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import { bytesOf } from './layer-parts.js';

/** The JSON in X.weight.quant_state.bitsandbytes__nf4 (or fp4). */
export interface QuantState {
  readonly quant_type: 'nf4' | 'fp4';
  readonly blocksize: number;
  /** N, K. */
  readonly shape: readonly [number, number];
  readonly nested_blocksize?: number | undefined;
  readonly nested_offset?: number | undefined;
}

/**
 * Parses the JSON that a Linear4bit saves as bytes.
 * @throws FormatError if it is not JSON, or does not describe a matrix in blocks of NF4 or FP4
 */
export function parseQuantState(tensor: RawTensor): QuantState {
  rawTensor(tensor, 'tensor');
  requireDtype(tensor, 'U8');
  const fail = (field: string, expected: string, got: unknown): never => {
    throw new FormatError(at(tensor, field), expected, (JSON.stringify(got) ?? 'none').slice(0, 80));
  };
  let state: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(tensor)));
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return fail('JSON', 'an object', parsed);
    state = parsed as Record<string, unknown>;
  } catch (error) {
    if (error instanceof FormatError) throw error;
    return fail('JSON', 'an object in UTF-8', error instanceof Error ? error.message : error);
  }
  const { quant_type, blocksize, shape, nested_blocksize, nested_offset } = state;
  const size = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;
  if (quant_type !== 'nf4' && quant_type !== 'fp4') return fail('quant_type', 'nf4 or fp4', quant_type);
  if (!size(blocksize)) return fail('blocksize', 'a whole number of at least 1', blocksize);
  if (!Array.isArray(shape) || shape.length !== 2 || !shape.every(size)) return fail('shape', 'N and K', shape);
  if (nested_blocksize !== undefined && !size(nested_blocksize))
    return fail('nested_blocksize', 'a whole number of at least 1', nested_blocksize);
  const offset = nested_offset === undefined ? undefined : Number(nested_offset);
  if (offset !== undefined && !Number.isFinite(offset)) return fail('nested_offset', 'a finite number', nested_offset);
  return { quant_type, blocksize, shape: shape as unknown as readonly [number, number], nested_blocksize, nested_offset: offset };
}
