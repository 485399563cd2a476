// What the dispatches of this room share: checks of their numbers, and the bytes of whole quads. Pure.
import { ArgumentError } from '../errors.js';

/** @throws ArgumentError unless the value is a whole number from `least` to `most` */
export function checkWhole(argument: string, value: number, { least = 1, most = Infinity } = {}): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new ArgumentError(
    argument,
    most < Infinity ? `a whole number from ${least} to ${most}` : `a whole number of at least ${least}`,
    String(value),
  );
}

/** The bytes of rows of float32, which kernels read as quads. @throws ArgumentError */
export function rowBytes(rows: number, width: number): number {
  checkWhole('rows', rows);
  if (!Number.isSafeInteger(width) || width < 4 || width % 4 !== 0) throw new ArgumentError('width', 'a multiple of 4', String(width));
  return 4 * rows * width;
}

/** The bytes of so many numbers of 4 bytes, filled up to whole quads. */
export const quadBytes = (numbers: number): number => 16 * Math.ceil(numbers / 4);
