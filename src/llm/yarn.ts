// YaRN (Peng et al., 2023): pairs that turn often within the positions of the first training keep their frequency, slow ones are divided by the
// factor of the context, and between them lies a ramp. Rotated numbers grow by a factor of their own.

/** The ramp of a rotation's pairs. */
export interface Yarn {
  /** Slow pairs turn slower by it. */
  readonly factor: number;
  /** Pairs up to `low` keep their frequency, those from `high` on are divided; numbers of pairs, not always whole. */
  readonly low: number;
  readonly high: number;
}

/** What files say of it. */
export interface YarnSettings {
  readonly factor: number;
  /** Positions of the first training. */
  readonly original: number;
  /** Turns within these positions: a pair of more is fast, of fewer slow. */
  readonly fast: number;
  readonly slow: number;
  /** Are the ends of the ramp whole numbers? llama.cpp's always are. */
  readonly truncate: boolean;
}

/** transformers' _compute_yarn_parameters, and ggml_rope_yarn_corr_dims of llama.cpp. @param rope w numbers of a head turn, pair i by base^(-2i/w) */
export function yarnOf(
  { factor, original, fast, slow, truncate }: YarnSettings,
  { base, width }: { readonly base: number; readonly width: number },
): { readonly yarn: Yarn; readonly magnitude: number } {
  /** The pair that turns so often within the first training. */
  const pairOf = (turns: number): number => (width * Math.log(original / (2 * Math.PI * turns))) / (2 * Math.log(base));
  const [low, high] = [pairOf(fast), pairOf(slow)];
  return {
    yarn: {
      factor,
      low: Math.max(0, truncate ? Math.floor(low) : low),
      high: Math.min(width - 1, truncate ? Math.ceil(high) : high),
    },
    magnitude: factor > 1 ? 1 + Math.log(factor) / 10 : 1,
  };
}

/** What the frequency of pair i is multiplied by. */
export function slowed({ factor, low, high }: Yarn, i: number): number {
  const share = Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low)));
  return share / factor + 1 - share;
}
