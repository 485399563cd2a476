// Pairs of a row of x and an expert, and their order by expert (shaders/sort-pairs.wgsl): the words of `sorted`. Pure.

/** How the rows of x meet the matrices of ExpertLayers. */
export interface ExpertPairs {
  /** Matrices. */
  readonly count: number;
  /** Pairs of a row of x: it meets as many experts. Pair p is row floor(p / perRow) of x, and row p of y. */
  readonly perRow: number;
  /** First element of the ids in their buffer; undefined if the pairs came sorted. */
  readonly ids: number | undefined;
  /** A row of y is the weighted sum of `top` pairs that follow each other. Absent: every pair has a row. */
  readonly summed?: SummedPairs | undefined;
}

/** What is made of the products of pairs. */
export interface SummedPairs {
  readonly top: number;
  /** First of the float32 weights, one for each pair, in their buffer. */
  readonly weights: number;
  /** kernel: a workgroup goes through all pairs of its quads. rows: pairs are rows in scratch memory first. */
  readonly by: 'kernel' | 'rows';
}

/** Lists in front of the order of pairs: of blocks of 1, 2, 4 and 8 rows, and one that sort-pairs.wgsl alone reads. */
const LISTS = 5;
/** Rows of a block, for each list that kernels read. */
export const BLOCK_ROWS: readonly number[] = [1, 2, 4, 8];

/** u32s of so many sorted pairs. */
export const sortedWords = (pairs: number, experts: number): number => LISTS * (experts + 2) + pairs;

/** Rows of x that an expert has on average, at least 1. Tiles are chosen for as many. */
export const rowsOfExpert = (pairs: number, experts: number): number => Math.max(1, Math.round(pairs / experts));

/** The most blocks of `rows` rows that pairs can be: every expert, and the pairs without one, may end in a block that is not full. */
export const blocksBound = (pairs: number, experts: number, rows: number): number =>
  Math.min(pairs, Math.floor((pairs + (experts + 1) * (rows - 1)) / rows));

/** The words that sort-pairs.wgsl makes of ids; pairs of an expert stay in their order. An id that is no expert's counts as `experts`. */
export function sortedPairs(ids: ArrayLike<number>, experts: number): Uint32Array<ArrayBuffer> {
  const inList = experts + 2;
  const expertOf = (pair: number): number => {
    const id = ids[pair]!;
    return id >= 0 && id < experts ? id : experts;
  };
  const counts = new Uint32Array(inList);
  for (let pair = 0; pair < ids.length; pair++) counts[expertOf(pair)]!++;
  const words = new Uint32Array(sortedWords(ids.length, experts));
  BLOCK_ROWS.forEach((rows, list) => {
    let blocks = 0;
    for (let e = 0; e < inList; e++) {
      words[list * inList + e] = blocks;
      blocks += Math.ceil(counts[e]! / rows);
    }
  });
  const next = words.slice(0, inList);
  for (let pair = 0; pair < ids.length; pair++) words[LISTS * inList + next[expertOf(pair)]!++] = pair;
  words.set(next, (LISTS - 1) * inList);
  return words;
}

/** Pairs of each expert, and after them the pairs whose id is no expert's; from the first words of sorted pairs. */
export const pairCounts = (words: ArrayLike<number>, experts: number): Uint32Array<ArrayBuffer> =>
  Uint32Array.from({ length: experts + 1 }, (_, e) => words[e + 1]! - words[e]!);
