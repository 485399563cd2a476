// A decoder-only language model in float64: what the kernels of one must give. One function an operation, rows after rows, nothing rounded
// but what a caller asks for. It takes weights by role from a function, and knows no file and no GPU. Rules: Zhang and Sennrich, 2019
// (RMSNorm); Su et al., 2021 (RoPE); Ding et al., 2024 (LongRoPE); Shazeer, 2020 (SwiGLU, GeGLU); Hendrycks and Gimpel, 2016 (GELU by tanh);
// Ainslie et al., 2023 (grouped queries); Beltagy et al., 2020 (windows); Gemma Team, 2024 (caps, norms behind products); Shazeer et al.,
// 2017 (experts); Peng et al., 2023 (YaRN); Xiao et al., 2023 (sinks).
import { ArgumentError } from '../errors.js';

/** What the numbers of a head have in common with a Config of src/llm. */
export interface HeadSizes {
  /** H */
  readonly heads: number;
  /** V; query head h reads key and value head floor(h / (H / V)). */
  readonly kvHeads: number;
  /** e */
  readonly headWidth: number;
}

export interface RopeSizes {
  /** The numbers of a head that turn together, i < w/2. pairs: 2i and 2i + 1. halves: i and i + w/2. */
  readonly kind: 'pairs' | 'halves';
  /** w ≤ e: the first numbers of a head are rotated. */
  readonly width: number;
  readonly base: number;
  /** Positions are divided by it. */
  readonly factor: number;
  /** Does the model have the weight `ropeDivisors` (w/2), by which frequencies are divided? */
  readonly divisors: boolean;
  /** Frequencies are divided by the weight `ropeShort` (w/2), or by `ropeLong` where there is room for more positions than this. */
  readonly original?: number | undefined;
  /**
   * YaRN: pairs up to `low` turn as they are, those from `high` on slower by the factor, and between them lies a ramp.
   */
  readonly yarn?: { readonly factor: number; readonly low: number; readonly high: number } | undefined;
  /** The rotated numbers are multiplied by it. */
  readonly magnitude?: number | undefined;
}

/** The part of a Config (src/llm/config.ts) that a forward pass asks for. */
export interface LlmSizes extends HeadSizes {
  /** L */
  readonly layers: number;
  /** d */
  readonly width: number;
  /** f */
  readonly feedForward: number;
  readonly vocabulary: number;
  readonly epsilon: number;
  readonly rope: RopeSizes;
  /** The embedding is the head. */
  readonly tied: boolean;
  /** `qBias`, `kBias`, `vBias`, `oBias`, `routerBias`, `gatesBias`, `upsBias`, `downsBias`: those that layers have. */
  readonly biases: readonly string[];
  readonly qkNorms: boolean;
  /** E experts, of which a row meets k; their weights add up to `scale`. */
  readonly experts?: { readonly count: number; readonly top: number; readonly scale: number } | undefined;
  /** A query meets `size` positions, its own among them; in every n-th layer (`every`, 0: none) all. */
  readonly windows?: { readonly size: number; readonly every: number } | undefined;
  /** Of layers with a window, if it is another. */
  readonly localRope?: RopeSizes | undefined;
  /** Every n-th layer does not rotate. */
  readonly noRopeEvery?: number | undefined;
  /** Of q · k; default 1 / √e. */
  readonly scoreScale?: number | undefined;
  /** Scores, and logits, are cap · tanh(x / cap). */
  readonly scoreCap?: number | undefined;
  readonly logitCap?: number | undefined;
  readonly activation?: string | undefined;
  /** Are `postAttentionNorm` and `postFeedForwardNorm` the norms of what is added to the residual? */
  readonly postNorms?: boolean | undefined;
  readonly embeddingScale?: number | undefined;
  /** Is there a weight `sinks` (H): a score of each head that has no value? */
  readonly sinks?: boolean | undefined;
  /** Is `qkv` one weight, q above k above v, and `gateUp` another, gate above up? */
  readonly joined?: boolean | undefined;
}

/** The weight of a role (`embedding`, `q.3`, …), row-major, (N, K) of a matrix, (E, N, K) of experts. Asked for whenever it is used. */
export type Weight = (role: string) => Float64Array;

export interface LlmOptions {
  /** Rounds K and V as they go into the cache. Default: not at all. */
  readonly roundCache?: ((value: number) => number) | undefined;
  /** The same for a head of K or V of one position, whose numbers share a scale. */
  readonly roundHead?: ((head: Float64Array) => Float64Array) | undefined;
  /** Rounds what a product reads: rows of K numbers. Default: not at all. */
  readonly roundInput?: ((x: Float64Array, k: number, role: string) => Float64Array) | undefined;
  /** Another activation than that of the sizes. */
  readonly activate?: ((gate: number) => number) | undefined;
  /** Positions that the sequence has room for. Default: no more than LongRoPE's first divisors are for. */
  readonly context?: number | undefined;
}

/** Keys (after norm and rotation) and values of P positions, each (P, V·e). */
export interface Cached {
  keys: Float64Array;
  values: Float64Array;
}

export interface LlmReference {
  /** P: tokens that have been taken. */
  position(): number;
  /** By layer. */
  readonly cache: readonly Readonly<Cached>[];
  /**
   * Takes the next tokens, any number at once.
   * @returns logits (T, vocabulary)
   * @throws ArgumentError for an id outside of the vocabulary, and for a weight of another length
   */
  forward(ids: ArrayLike<number>): Float64Array;
}

/** y (T, N) = x (T, K) · Wᵀ. @param w (N, K) */
export function multiply(x: Float64Array, w: Float64Array, k: number): Float64Array {
  const rows = x.length / k;
  const n = w.length / k;
  const y = new Float64Array(rows * n);
  for (let column = 0; column < n; column++)
    for (let row = 0; row < rows; row++) {
      const [a, b] = [row * k, column * k];
      let sum = 0;
      for (let i = 0; i < k; i++) sum += x[a + i]! * w[b + i]!;
      y[row * n + column] = sum;
    }
  return y;
}

/** x / √(mean(x²) + ε) · w of every row. @param x rows of as many numbers as w */
export function rmsNorm(x: Float64Array, w: Float64Array, epsilon: number): Float64Array {
  const d = w.length;
  const y = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += d) {
    let sum = 0;
    for (let i = at; i < at + d; i++) sum += x[i]! * x[i]!;
    const r = 1 / Math.sqrt(sum / d + epsilon);
    for (let i = 0; i < d; i++) y[at + i] = x[at + i]! * r * w[i]!;
  }
  return y;
}

/**
 * Turns pair i of every head by position · base^(-2i/w) / (factor · divisor), and multiplies it by `magnitude`.
 * @param x (T, heads · e) @param first position of the first row @param divisors (w/2)
 */
export function rotate(
  x: Float64Array,
  { heads, headWidth: e }: Pick<HeadSizes, 'heads' | 'headWidth'>,
  { kind, width: w, base, factor, yarn, magnitude = 1 }: Omit<RopeSizes, 'divisors'>,
  { first, divisors }: { readonly first: number; readonly divisors?: Float64Array | undefined },
): Float64Array {
  const y = x.slice();
  const [step, apart] = kind === 'pairs' ? [2, 1] : [1, w / 2];
  for (let at = 0, position = first; at < x.length; at += heads * e, position++)
    for (let i = 0; i < w / 2; i++) {
      const slow = yarn ? Math.min(1, Math.max(0, (i - yarn.low) / Math.max(0.001, yarn.high - yarn.low))) : 0;
      const divisor = factor * (divisors?.[i] ?? 1) * (yarn ? 1 / (1 - slow + slow / yarn.factor) : 1);
      const angle = (position / divisor) * base ** ((-2 * i) / w);
      const [cos, sin] = [magnitude * Math.cos(angle), magnitude * Math.sin(angle)];
      for (let head = 0; head < heads; head++) {
        const a = at + head * e + step * i;
        const b = a + apart;
        y[a] = x[a]! * cos - x[b]! * sin;
        y[b] = x[b]! * cos + x[a]! * sin;
      }
    }
  return y;
}

/** cap · tanh(x / cap) */
export const capped = (x: number, cap: number): number => cap * Math.tanh(x / cap);

/** What a query meets, and how. */
export interface AttendRules {
  /** Position of the first query; P ≥ first + T. */
  readonly first: number;
  /** Default 1 / √e. */
  readonly scale?: number | undefined;
  /** Default: none. */
  readonly cap?: number | undefined;
  /** Positions that a query sees, its own among them. Default: all. */
  readonly window?: number | undefined;
  /** (H): a score of each head that has no value. Default: none. */
  readonly sinks?: Float64Array | undefined;
}

/**
 * softmax(q · Kᵀ · scale) · V of every head. The query of row t sees the last positions up to first + t.
 * @param q (T, H·e)
 * @returns (T, H·e)
 */
export function attend(
  q: Float64Array,
  { keys, values }: Readonly<Cached>,
  { heads, kvHeads, headWidth: e }: HeadSizes,
  { first, scale = 1 / Math.sqrt(e), cap, window = Infinity, sinks }: AttendRules,
): Float64Array {
  const y = new Float64Array(q.length);
  const pitch = kvHeads * e;
  const scores = new Float64Array(first + q.length / (heads * e));
  for (let at = 0, length = first + 1; at < q.length; at += heads * e, length++)
    for (let head = 0; head < heads; head++) {
      const query = at + head * e;
      const key = Math.floor(head / (heads / kvHeads)) * e;
      const begin = Math.max(0, length - window);
      let top = sinks?.[head] ?? Number.NEGATIVE_INFINITY;
      for (let p = begin; p < length; p++) {
        let dot = 0;
        for (let i = 0; i < e; i++) dot += q[query + i]! * keys[p * pitch + key + i]!;
        scores[p] = cap === undefined ? dot * scale : capped(dot * scale, cap);
        top = Math.max(top, scores[p]!);
      }
      let sum = sinks ? Math.exp(sinks[head]! - top) : 0;
      for (let p = begin; p < length; p++) sum += scores[p] = Math.exp(scores[p]! - top);
      for (let p = begin; p < length; p++) {
        const share = scores[p]! / sum;
        for (let i = 0; i < e; i++) y[query + i]! += share * values[p * pitch + key + i]!;
      }
    }
  return y;
}

/** By name: SiLU(z) = z / (1 + exp(-z)), GELU by tanh, and what gpt-oss has of the gate. */
const ACTIVATIONS: Readonly<Record<string, (z: number) => number>> = {
  silu: (z) => z / (1 + Math.exp(-z)),
  gelu_tanh: (z) => (z / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))),
  swiglu_oai: (z) => Math.min(z, 7) / (1 + Math.exp(-1.702 * Math.min(z, 7))),
};
/** What becomes of up, where it does not stay as it is. */
const UPS: Readonly<Record<string, (u: number) => number>> = { swiglu_oai: (u) => Math.min(7, Math.max(-7, u)) + 1 };

/** activate(gate) · up @param activate default SiLU @param ofUp default: as it is */
export function glu(gate: Float64Array, up: Float64Array, activate = ACTIVATIONS.silu!, ofUp = (u: number): number => u): Float64Array {
  const y = new Float64Array(gate.length);
  for (let i = 0; i < y.length; i++) y[i] = activate(gate[i]!) * ofUp(up[i]!);
  return y;
}

/** Columns [begin, begin + count) of rows of n. */
function columns(x: Float64Array, n: number, [begin, count]: readonly [number, number]): Float64Array {
  const y = new Float64Array((x.length / n) * count);
  for (let row = 0; row < x.length / n; row++) y.set(x.subarray(row * n + begin, row * n + begin + count), row * count);
  return y;
}

/**
 * The experts of the largest z, and their softmax: what softmax(z) has of the chosen ones, divided by its sum over them (llama.cpp's
 * build_moe_ffn with norm_w, transformers' Qwen3MoeSparseMoeBlock with norm_topk_prob and MixtralSparseMoeBlock). The lowest id where several are as
 * large; NaN weights where a z is NaN, or the largest is no number.
 * @param z (E) @returns k pairs, the largest z first
 */
export function routed(
  z: Float64Array,
  { top, scale }: { readonly top: number; readonly scale: number },
): { readonly id: number; readonly weight: number }[] {
  const values = z.map((value) => (Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value));
  const ids = [...z.keys()].sort((a, b) => values[b]! - values[a]! || a - b).slice(0, top);
  const largest = z.some(Number.isNaN) ? NaN : z[ids[0]!]!;
  const shares = ids.map((id) => Math.exp(z[id]! - largest));
  const sum = shares.reduce((a, b) => a + b, 0);
  return ids.map((id, i) => ({ id, weight: (scale * shares[i]!) / sum }));
}

function addTo(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i]! += y[i % y.length]!; // a bias is added to every row
}

/** A model with an empty cache. */
export function llmReference(
  sizes: LlmSizes,
  weight: Weight,
  { roundCache, roundHead, roundInput, activate: asked, context = 0 }: LlmOptions = {},
): LlmReference {
  const { layers, width: d, heads, kvHeads, headWidth: e, feedForward: f, vocabulary, epsilon, tied, biases, qkNorms, experts } = sizes;
  const { activation = 'silu', embeddingScale = 1, logitCap } = sizes;
  const activate = asked ?? ACTIVATIONS[activation];
  if (!activate) throw new ArgumentError('activation', Object.keys(ACTIVATIONS).join(' or '), activation);
  const cache: Cached[] = Array.from({ length: layers }, () => ({ keys: new Float64Array(0), values: new Float64Array(0) }));
  let taken = 0;

  const take = (role: string, length: number): Float64Array => {
    const w = weight(role);
    if (w.length !== length) throw new ArgumentError(`weight(${role})`, `${length} numbers`, String(w.length));
    return w;
  };
  /** @param expert its matrix among those of a role */
  const product = (x: Float64Array, role: string, n: number, k: number, expert?: number): Float64Array => {
    const w = take(role, (expert === undefined ? 1 : experts!.count) * n * k);
    const own = expert === undefined ? w : w.subarray(expert * n * k, (expert + 1) * n * k);
    const y = multiply(roundInput ? roundInput(x, k, role) : x, own, k);
    const bias = role.replace('.', 'Bias.');
    if (expert !== undefined && biases.includes(bias.split('.')[0]!))
      addTo(y, take(bias, experts!.count * n).subarray(expert * n, (expert + 1) * n));
    return y;
  };
  const norm = (x: Float64Array, role: string, length = d): Float64Array => rmsNorm(x, take(role, length), epsilon);

  /** A part of a product of several, each of so many columns; a product of its own where they are not joined. */
  const partOf = (x: Float64Array, [role, joined]: readonly [string, string], counts: readonly number[], at: number): Float64Array => {
    if (!sizes.joined) return product(x, role, counts[at]!, d);
    const sum = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0);
    return columns(product(x, joined, sum(counts), d), sum(counts), [sum(counts.slice(0, at)), counts[at]!]);
  };
  /** q, k or v of a layer before the rotation. */
  const project = (x: Float64Array, part: 'q' | 'k' | 'v', layer: number): Float64Array => {
    const n = (part === 'q' ? heads : kvHeads) * e;
    const y = partOf(x, [`${part}.${layer}`, `qkv.${layer}`], [heads * e, kvHeads * e, kvHeads * e], 'qkv'.indexOf(part));
    if (biases.includes(`${part}Bias`)) addTo(y, take(`${part}Bias.${layer}`, n));
    return qkNorms && part !== 'v' ? norm(y, `${part}Norm.${layer}`, e) : y;
  };
  const isEvery = (every: number | undefined, layer: number): boolean => every !== undefined && every > 0 && layer % every === every - 1;
  const windowOf = (layer: number): number | undefined =>
    sizes.windows && !isEvery(sizes.windows.every, layer) ? sizes.windows.size : undefined;
  const divisorsOf = ({ divisors, original, width: w }: RopeSizes): Float64Array | undefined => {
    if (original !== undefined) return take(context > original ? 'ropeLong' : 'ropeShort', w / 2);
    return divisors ? take('ropeDivisors', w / 2) : undefined;
  };
  const turned = (x: Float64Array, count: number, layer: number): Float64Array => {
    if (isEvery(sizes.noRopeEvery, layer)) return x;
    const rope = (windowOf(layer) !== undefined && sizes.localRope) || sizes.rope;
    return rotate(x, { heads: count, headWidth: e }, rope, { first: taken, divisors: divisorsOf(rope) });
  };
  const appended = (old: Float64Array, rows: Float64Array): Float64Array => {
    const out = new Float64Array(old.length + rows.length);
    out.set(old);
    out.set(roundCache ? rows.map(roundCache) : rows, old.length);
    for (let at = old.length; roundHead && at < out.length; at += e) out.set(roundHead(out.subarray(at, at + e)), at);
    return out;
  };

  const attention = (x: Float64Array, layer: number): Float64Array => {
    const h = norm(x, `attentionNorm.${layer}`);
    const q = turned(project(h, 'q', layer), heads, layer);
    const own = cache[layer]!;
    own.keys = appended(own.keys, turned(project(h, 'k', layer), kvHeads, layer));
    own.values = appended(own.values, project(h, 'v', layer));
    const sinks = sizes.sinks ? take(`sinks.${layer}`, heads) : undefined;
    const rules = { first: taken, scale: sizes.scoreScale, cap: sizes.scoreCap, window: windowOf(layer), sinks };
    const y = product(attend(q, own, sizes, rules), `o.${layer}`, d, heads * e);
    if (biases.includes('oBias')) addTo(y, take(`oBias.${layer}`, d));
    return y;
  };
  const ofExperts = (h: Float64Array, layer: number, { count, ...how }: NonNullable<LlmSizes['experts']>): Float64Array => {
    const y = new Float64Array(h.length);
    const z = product(h, `router.${layer}`, count, d);
    if (biases.includes('routerBias')) addTo(z, take(`routerBias.${layer}`, count));
    for (let row = 0; row < h.length / d; row++) {
      const own = h.subarray(row * d, (row + 1) * d);
      for (const { id, weight } of routed(z.subarray(row * count, (row + 1) * count), how)) {
        const act = glu(product(own, `gates.${layer}`, f, d, id), product(own, `ups.${layer}`, f, d, id), activate, UPS[activation]);
        product(act, `downs.${layer}`, d, f, id).forEach((value, i) => {
          y[row * d + i]! += weight * value;
        });
      }
    }
    return y;
  };
  const feedForward = (x: Float64Array, layer: number): Float64Array => {
    const h = norm(x, `feedForwardNorm.${layer}`);
    if (experts) return ofExperts(h, layer, experts);
    const [gate, up] = ['gate', 'up'].map((role, at) => partOf(h, [`${role}.${layer}`, `gateUp.${layer}`], [f, f], at));
    const act = glu(gate!, up!, activate, UPS[activation]);
    return product(act, `down.${layer}`, d, f);
  };

  const forward = (ids: ArrayLike<number>): Float64Array => {
    const embedding = take('embedding', vocabulary * d);
    const x = new Float64Array(ids.length * d);
    for (let row = 0; row < ids.length; row++) {
      const id = ids[row]!;
      if (!(Number.isInteger(id) && id >= 0 && id < vocabulary))
        throw new ArgumentError(`ids[${row}]`, `a whole number from 0 to ${vocabulary - 1}`, String(id));
      for (let i = 0; i < d; i++) x[row * d + i] = embedding[id * d + i]! * embeddingScale;
    }
    const added = (y: Float64Array, role: string): void => addTo(x, sizes.postNorms ? norm(y, role) : y);
    for (let layer = 0; layer < layers; layer++) {
      added(attention(x, layer), `postAttentionNorm.${layer}`);
      added(feedForward(x, layer), `postFeedForwardNorm.${layer}`);
    }
    taken += ids.length;
    const logits = product(norm(x, 'outputNorm'), tied ? 'embedding' : 'head', vocabulary, d);
    return logitCap === undefined ? logits : logits.map((one) => capped(one, logitCap));
  };
  return { position: () => taken, cache, forward };
}
