// The table of whole language models: every architecture × the block types that people's files have × plain and heavy-tailed weights × what
// the cache holds; and few with less of a device, or asked for fewer tokens. Tests on every engine share it. Holds no test.
import type { ArchitectureName } from '../../src/llm/architectures.js';
import type { KvDType } from '../../src/llm-kernels/attention.js';
import type { ModelOptions } from '../support/model-file.js';

/** Layers of a model: two, of which the first has other types in a mix. */
const LAYERS = 2;

/** What llama.cpp's quantizer makes of a model (llama_tensor_get_type of src/llama-quant.cpp): v and down have more bits in half of the layers. */
const MIXED: NonNullable<ModelOptions['types']> = { 'v.0': 'Q6_K', 'down.0': 'Q6_K', head: 'Q6_K' };
const TYPES: Readonly<Record<string, Pick<ModelOptions, 'type' | 'types'>>> = {
  Q4_0: { type: 'Q4_0' },
  Q8_0: { type: 'Q8_0' },
  Q4_K_M: { type: 'Q4_K', types: MIXED },
  Q5_K: { type: 'Q5_K' },
  Q6_K: { type: 'Q6_K' },
};

type Shown = Extract<ArchitectureName, 'llama' | 'qwen2' | 'qwen3'>;
/** Shapes: pairs and halves, G = 4 and 2, heads of 32 and 64 numbers, H·e of d and of more, tied and not, divisors of frequencies. */
const ARCHITECTURES: Readonly<Record<Shown, Pick<ModelOptions, 'sizes' | 'rope' | 'tied'>>> = {
  llama: { rope: { divisors: true } },
  qwen2: { tied: true, sizes: { heads: 4, headWidth: 64 }, rope: { base: 1e6 } },
  qwen3: { sizes: { heads: 8, kvHeads: 4, headWidth: 64 }, rope: { base: 1e6 } },
};

/** What a device is made to lack. */
export type Lacking =
  /** Nothing: it is as `requestDevice` makes it. */
  | 'nothing'
  /** All that is asked for: no features, and the limits that every WebGPU device has. */
  | 'extras'
  /** Room: a buffer holds so few bytes that an embedding and a head go in slabs. */
  | 'room'
  /** It says that it is a GPU, whose norms take no dispatch; and it lacks room. Of rows of a prompt only one: others take minutes to compile. */
  | 'software and room';

export interface LlmCase {
  readonly name: string;
  readonly model: ModelOptions;
  readonly kv: KvDType;
  /** Ids of the prompt. */
  readonly prompt: number;
  /** Ids that are chosen behind it. */
  readonly tokens: number;
  readonly device: Lacking;
  /** Of a buffer and a binding, where room is lacking. */
  readonly most: number;
  /** Does every engine run it in `npm test`? */
  readonly everywhere: boolean;
  /** What it is about, for slices of the table. */
  readonly values: Readonly<Record<string, string>>;
}

function made({
  architecture,
  types,
  weights = 'normal',
  kv = 'f32',
  tokens = 128,
  device = 'nothing',
  most = 192 * 1024,
  everywhere = false,
  model = {},
}: {
  readonly architecture: Shown;
  readonly types: keyof typeof TYPES;
  readonly weights?: 'normal' | 'heavy';
  readonly kv?: KvDType;
  readonly tokens?: number;
  readonly device?: Lacking;
  readonly most?: number;
  readonly everywhere?: boolean;
  readonly model?: Partial<ModelOptions>;
}): LlmCase {
  const { sizes, ...of } = ARCHITECTURES[architecture];
  const name = [`${architecture} ${types}`, weights, `${kv} cache`, `${tokens} tokens`];
  if (model.tied !== undefined) name.push(model.tied ? 'tied' : 'not tied');
  if (device === 'extras') name.push('on a device without extras');
  if (device.endsWith('room')) name.push(`in slabs of ${most / 1024} KiB`);
  if (device.startsWith('software')) name.push('as on a GPU');
  return {
    name: name.join(', '),
    model: {
      ...{ architecture, weights, seed: 40 + types.length, ...of, ...TYPES[types], ...model },
      sizes: { layers: LAYERS, ...sizes, ...model.sizes },
    },
    ...{ kv, tokens, device, most, everywhere },
    prompt: device.startsWith('software') ? 1 : everywhere ? 5 : 21, // rows by 16, 4 and 1; or by 4 and 1, whose kernels compile faster
    values: { architecture, types, weights, kv, device, everywhere: String(everywhere) },
  };
}

const ALL: readonly Shown[] = ['llama', 'qwen2', 'qwen3'];
/** Vocabulary whose rows take more than one buffer where room is lacking. */
const LONG = { vocabulary: 1043 } as const;

export const llmCases: readonly LlmCase[] = [
  ...ALL.flatMap((architecture) =>
    Object.keys(TYPES).flatMap((types) =>
      (['normal', 'heavy'] as const).flatMap((weights) =>
        (['f32', 'f16'] as const).map((kv) => made({ architecture, types, weights, kv })),
      ),
    ),
  ),
  // Few tokens, for engines that compile slowly: together they have every kernel path.
  made({ architecture: 'llama', types: 'Q4_K_M', tokens: 6, everywhere: true, model: { sizes: { layers: 1 } } }),
  made({ architecture: 'qwen2', types: 'Q8_0', kv: 'f16', tokens: 6, everywhere: true, model: { sizes: { layers: 1 } } }),
  made({ architecture: 'qwen3', types: 'Q4_0', kv: 'f16', tokens: 6, everywhere: true, device: 'extras', model: { sizes: { layers: 1 } } }),
  // Devices with less.
  ...ALL.map((architecture) => made({ architecture, types: 'Q4_K_M', tokens: 16, device: 'extras' })),
  ...[true, false].map((tied) =>
    made({ architecture: 'qwen2', types: 'Q8_0', tokens: 16, device: 'room', model: { ...LONG, tied, sizes: { layers: 1 } } }),
  ),
  made({
    architecture: 'llama',
    types: 'Q4_K_M',
    tokens: 16,
    device: 'room',
    model: { ...LONG, tied: true, types: { ...MIXED, embedding: 'Q8_0' } },
  }),
  ...(['normal', 'heavy'] as const).map((weights) =>
    made({
      ...{ architecture: 'qwen2', types: 'Q8_0', weights, tokens: 16, device: 'software and room' },
      model: { ...LONG, sizes: { layers: 1 } },
    }),
  ),
  made({
    ...{ architecture: 'qwen2', types: 'Q8_0', tokens: 2, device: 'room', most: 16 * 1024 * 1024 },
    model: { vocabulary: 20_000, sizes: { layers: 1, width: 1024, feedForward: 256 } },
  }),
];
