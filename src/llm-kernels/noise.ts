// Gumbel noise of shaders/llm/noise.wgsl on the CPU: which id a seed draws. Pure.

/** PCG3D of (id, position, seed), a u32. */
export function hashOf(seed: number, position: number, id: number): number {
  const step = (value: number): number => (Math.imul(value, 1664525) + 1013904223) | 0;
  let [x, y, z] = [step(id), step(position), step(seed)];
  x = (x + Math.imul(y, z)) | 0;
  y = (y + Math.imul(z, x)) | 0;
  z = (z + Math.imul(x, y)) | 0;
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  x = (x + Math.imul(y, z)) | 0;
  y = (y + Math.imul(z, x)) | 0;
  z = (z + Math.imul(x, y)) | 0;
  return z >>> 0;
}

/** −log(−log(1 − v)), v = (hash + ½) / 2³²: finite for every hash. */
export const gumbel = (hash: number): number => -Math.log(-Math.log1p(-(hash + 0.5) / 2 ** 32));

/** What is compared: logit / temperature + noise of each id. */
export const noisy = (logits: ArrayLike<number>, { temperature, seed, position }: Draw): Float64Array =>
  Float64Array.from({ length: logits.length }, (_, id) => logits[id]! / temperature + gumbel(hashOf(seed, position, id)));

/** A draw for the id at a position. */
export interface Draw {
  /** More than 0. */
  readonly temperature: number;
  readonly seed: number;
  readonly position: number;
}

/** The id of the largest value, the lowest of several; undefined if one is NaN. */
export function largest(values: ArrayLike<number>): number | undefined {
  let best = 0;
  for (let id = 0; id < values.length; id++) {
    if (Number.isNaN(values[id])) return undefined;
    if (values[id]! > values[best]!) best = id;
  }
  return best;
}

/** A sample of softmax(logits / temperature): the id that llm/pick draws, but where two are as large within a rounding. */
export const draw = (logits: ArrayLike<number>, how: Draw): number | undefined => largest(noisy(logits, how));
