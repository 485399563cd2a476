// The panel's choices, bound to the URL, and the Settings that follow from them.
import { computed } from '@preact/signals';
import { BITS, type Bits } from '../../../src/problem/code-width.js';
import { choice, flag, integer, urlSignal } from '../../app/url-state.js';
import { WLLAMA_FILES, type WllamaOn } from './jobs/llm-settings.js';
import { ORT_FILES, type OrtBuild, type Settings } from './jobs/settings.js';

/** Rows of x, by use. */
export const ROWS = {
  all: { label: 'all three', rows: [1, 8, 128] },
  decode: { label: 'decode', rows: [1] },
  few: { label: 'few rows', rows: [8] },
  prefill: { label: 'prefill', rows: [128] },
  own: { label: 'own M', rows: [] },
} as const satisfies Record<string, { readonly label: string; readonly rows: readonly number[] }>;
export type RowsName = keyof typeof ROWS;

/** K × N of layers of language models. */
export const MATRICES = {
  tiny: { label: '1024 × 1024', k: 1024, n: 1024 },
  small: { label: '2048 × 2048, attention of a 1B model', k: 2048, n: 2048 },
  middle: { label: '4096 × 4096, attention of a 7B model', k: 4096, n: 4096 },
  wide: { label: '4096 × 11008, feed-forward of a 7B model', k: 4096, n: 11008 },
  tall: { label: '11008 × 4096, and back', k: 11008, n: 4096 },
  own: { label: 'own K and N', k: 0, n: 0 },
} as const;
export type MatrixName = keyof typeof MATRICES;

export const MOST_ROWS = 2048;
export const SIDE = { min: 128, max: 16384, step: 128 } as const;
/** Most weights: the CPU makes data and reference, which takes seconds for so many. */
const MOST_WEIGHTS = 2 ** 26;
export const GROUPS = [32, 64, 128, 0] as const;
export const ROUNDS = { min: 3, max: 50 } as const;
export const SAMPLE = { min: 10, max: 500 } as const;

const names = <T extends object>(table: T) => Object.keys(table) as (keyof T & string)[];
const side = (value: number) => {
  const codec = integer(value, SIDE);
  const parse = (text: string): number | undefined => {
    const number = codec.parse(text);
    return number !== undefined && number % SIDE.step === 0 ? number : undefined;
  };
  return { ...codec, parse };
};

export const rows = urlSignal('bench.rows', choice<RowsName>('all', names(ROWS)));
export const ownRows = urlSignal('bench.m', integer(16, { min: 1, max: MOST_ROWS }));
export const matrix = urlSignal('bench.matrix', choice<MatrixName>('small', names(MATRICES)));
export const ownK = urlSignal('bench.k', side(3072));
export const ownN = urlSignal('bench.n', side(1024));
export const bits = urlSignal('bench.bits', choice<Bits>(4, BITS));
export const group = urlSignal('bench.group', choice<number>(32, GROUPS));
export const dtype = urlSignal('bench.dtype', choice<Settings['dtype']>('float32', ['float32', 'float16']));
export const offset = urlSignal('bench.offset', flag(false));
export const rounds = urlSignal('bench.rounds', integer(5, ROUNDS));
export const sample = urlSignal('bench.sample', integer(40, SAMPLE));
export const dense = urlSignal('bench.dense', flag(true));
export const peers: Readonly<Record<OrtBuild, ReturnType<typeof flagSignal>>> = {
  webgpu: flagSignal('bench.webgpu'),
  wasm: flagSignal('bench.wasm'),
};
/** Is the language model measured, and beside whom? */
export const withLlm = urlSignal('bench.llm', flag(true));
export const llmPeers: Readonly<Record<WllamaOn, ReturnType<typeof flagSignal>>> = {
  webgpu: flagSignal('bench.wllamagpu'),
  wasm: flagSignal('bench.wllama'),
};
export const withProducts = urlSignal('bench.products', flag(true));
function flagSignal(name: string) {
  return urlSignal(name, flag(false));
}

/** Why K and N are too large together. */
export const tooMany = (k: number, n: number): string | undefined =>
  k * n > MOST_WEIGHTS ? `K × N of at most ${MOST_WEIGHTS / 2 ** 20} Mi weights` : undefined;

export const settings = computed((): Settings => {
  const { k, n } = matrix.value === 'own' ? { k: ownK.value, n: ownN.value } : MATRICES[matrix.value];
  return {
    rows: rows.value === 'own' ? [ownRows.value] : ROWS[rows.value].rows,
    k,
    n,
    bits: bits.value,
    group: group.value,
    dtype: dtype.value,
    offset: offset.value,
    rounds: rounds.value,
    sample: sample.value,
    peers: (Object.keys(peers) as OrtBuild[]).filter((name) => peers[name].value),
    dense: dense.value,
  };
});

export const llmSettings = computed(() => ({
  rounds: rounds.value,
  peers: (Object.keys(llmPeers) as WllamaOn[]).filter((name) => llmPeers[name].value),
}));

export const wllamaSize = WLLAMA_FILES.script.bytes + WLLAMA_FILES.wasm.bytes;
export const sizeOf = (build: OrtBuild): number => ORT_FILES[build].script.bytes + ORT_FILES[build].wasm.bytes;
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
