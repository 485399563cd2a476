// The shaders of language models that are no products: their bindings, their uniforms, and the buffer that says where the sequence stands.
import { addShaders } from '../kernels/index.js';
import type { Binding, Shader } from '../kernels/kernel.js';
import { addLlmText } from '../wgsl/llm-text.js';
import type { Params } from '../wgsl/preprocess.js';

/** A shader whose uniforms need not be u32. */
export interface LlmShader extends Shader {
  /** Those of `uniforms` that are f32. */
  readonly floats: readonly string[];
  /** u32 behind the uniforms, in vec4s, which begin at a multiple of four. */
  readonly list?: { readonly name: string; readonly length: number };
}

/** A dispatch as plain data. Whoever runs it makes the pipeline of `shader` and `params`, and binds buffers by the names of `bytes`. */
export interface LlmDispatch {
  readonly shader: LlmShader;
  readonly params: Params;
  readonly workgroups: readonly [number, number];
  /** Of the binding `params`. */
  readonly uniforms: ArrayBuffer;
  /** The least size of each binding but `params` and `now`, in bytes. */
  readonly bytes: Readonly<Record<string, number>>;
}

const PARAMS = { name: 'params', binding: 0, access: 'uniform' } as const;
const NOW = { name: 'now', binding: 1, access: 'uniform' } as const;

/** What a layer's attention is told (shaders/llm/heads.wgsl). */
const OF_HEADS = {
  uniforms: [
    ...['heads', 'group', 'capacity', 'quads', 'parts', 'slices', 'splits', 'rotary', 'low_base', 'high_base', 'scale', 'epsilon'],
    ...['q_pitch', 'kv_pitch', 'k_begin', 'v_begin', 'width', 'pairs', 'window', 'cap'],
  ],
  floats: ['scale', 'epsilon', 'cap'],
};
/** What brings k and v into the cache reads and writes. */
const TO_CACHE: readonly Binding[] = [
  PARAMS,
  NOW,
  { name: 'qkv', binding: 2, access: 'read' },
  { name: 'angles', binding: 3, access: 'read' },
  { name: 'k_cache', binding: 4, access: 'write' },
  { name: 'v_cache', binding: 5, access: 'write' },
];
const NORMS: Binding = { name: 'norms', binding: 7, access: 'read', when: ({ NORM }) => NORM === 1 };
const CLAMPED: Binding = { name: 'clamped', binding: 8, access: 'write', when: ({ KV }) => KV === 1 };

const SINKS: Binding = { name: 'sinks', binding: 9, access: 'read', when: ({ SINKS: has }) => has === 1 };

/** One token: norms and rotations of q and k, the cache's new position, and the attention. */
export const attend: LlmShader = {
  name: 'llm/attend',
  bindings: [
    ...TO_CACHE,
    { name: 'att', binding: 6, access: 'write', when: ({ SPLIT }) => SPLIT === 0 },
    { name: 'parts', binding: 6, access: 'write', when: ({ SPLIT }) => SPLIT === 1 },
    NORMS,
    CLAMPED,
    SINKS,
  ],
  ...OF_HEADS,
};

/** The parts of all splits → the attention. */
export const attendJoin: LlmShader = {
  name: 'llm/attend-join',
  bindings: [PARAMS, NOW, { name: 'parts', binding: 2, access: 'read' }, { name: 'att', binding: 3, access: 'write' }, SINKS],
  uniforms: ['heads', 'splits', 'width', 'window'],
  floats: [],
};

/** Rows of a prompt: norms and rotations of q and k, and their positions of the cache. */
export const ropeRows: LlmShader = {
  name: 'llm/rope-rows',
  bindings: [...TO_CACHE, { name: 'q', binding: 6, access: 'write' }, NORMS, CLAMPED],
  ...OF_HEADS,
};

/** Rows of a prompt: the attention. */
export const attendRows: LlmShader = {
  name: 'llm/attend-rows',
  bindings: [
    PARAMS,
    NOW,
    { name: 'q', binding: 2, access: 'read' },
    { name: 'k_cache', binding: 4, access: 'read' },
    { name: 'v_cache', binding: 5, access: 'read' },
    { name: 'att', binding: 6, access: 'write' },
    SINKS,
  ],
  ...OF_HEADS,
};

/** Rows of a prompt, or one token: a norm. */
export const rmsRows: LlmShader = {
  name: 'llm/rms-rows',
  bindings: [
    PARAMS,
    NOW,
    { name: 'x', binding: 2, access: 'read' },
    { name: 'weight', binding: 3, access: 'read' },
    { name: 'y', binding: 4, access: 'write' },
  ],
  uniforms: ['quads', 'lanes', 'epsilon'],
  floats: ['epsilon'],
};

/** Rows: a norm, and the experts of each with their weights. */
export const route: LlmShader = {
  name: 'llm/route',
  bindings: [
    PARAMS,
    NOW,
    { name: 'x', binding: 2, access: 'read' },
    { name: 'weight', binding: 3, access: 'read' },
    { name: 'router', binding: 4, access: 'read' },
    { name: 'h', binding: 5, access: 'write' },
    { name: 'ids', binding: 6, access: 'write', when: ({ SORTED }) => SORTED === 0 },
    { name: 'sorted', binding: 6, access: 'write', when: ({ SORTED }) => SORTED === 1 },
    { name: 'weights', binding: 7, access: 'write' },
  ],
  uniforms: ['quads', 'lanes', 'experts', 'top', 'parts', 'epsilon', 'scale'],
  floats: ['epsilon', 'scale'],
};

/** Rows of a prompt, or one token: gate and up, which are two products → their gated linear unit. */
export const gluRows: LlmShader = {
  name: 'llm/glu-rows',
  bindings: [PARAMS, NOW, { name: 'up', binding: 2, access: 'read' }, { name: 'act', binding: 3, access: 'write' }],
  uniforms: ['width', 'act'],
  floats: [],
};

/** Rows: the norm behind a product, the residual, and the norm before the next product. */
export const normAdd: LlmShader = {
  name: 'llm/norm-add',
  bindings: [
    PARAMS,
    NOW,
    { name: 'h', binding: 2, access: 'write' },
    { name: 'x', binding: 3, access: 'write' },
    { name: 'weight', binding: 4, access: 'read' },
    { name: 'next', binding: 5, access: 'read' },
  ],
  uniforms: ['quads', 'lanes', 'epsilon', 'scale'],
  floats: ['epsilon', 'scale'],
};

/** Logits: their cap. */
export const cap: LlmShader = {
  name: 'llm/cap',
  bindings: [PARAMS, NOW, { name: 'z', binding: 2, access: 'write' }],
  uniforms: ['quads', 'cap'],
  floats: ['cap'],
};

/** What a choice is told (shaders/llm/choosing.wgsl). */
const OF_CHOICE = {
  uniforms: [
    ...['vocabulary', 'limit', 'context', 'seed', 'inverse_temperature', 'stops'],
    ...['repetition', 'inverse_repetition', 'presence', 'frequency', 'window'],
    ...['top_k', 'top_p', 'least', 'steps', 'step', 'rounds'],
  ],
  floats: ['inverse_temperature', 'repetition', 'inverse_repetition', 'presence', 'frequency', 'least', 'steps', 'step'],
  list: { name: 'stop_ids', length: 16 },
};
const adjusts: Binding['when'] = ({ ADJUST }) => ADJUST === 1;
const BIAS: Binding = { name: 'bias', binding: 4, access: 'read', when: adjusts };

/** The next token, and the sequence's next position. */
export const pick: LlmShader = {
  name: 'llm/pick',
  bindings: [
    PARAMS,
    { name: 'now', binding: 1, access: 'write' },
    { name: 'best', binding: 2, access: 'read', when: ({ LOGITS }) => LOGITS === 0 },
    { name: 'logits', binding: 2, access: 'read', when: ({ LOGITS }) => LOGITS === 1 },
    { name: 'state', binding: 3, access: 'write' },
    BIAS,
    { name: 'counts', binding: 5, access: 'write', when: adjusts },
  ],
  ...OF_CHOICE,
};

/** The largest logits and their ids, for a host that chooses. */
export const candidates: LlmShader = {
  name: 'llm/candidates',
  bindings: [
    PARAMS,
    NOW,
    { name: 'logits', binding: 2, access: 'read' },
    { name: 'candidates', binding: 3, access: 'write' },
    BIAS,
    { name: 'counts', binding: 5, access: 'read', when: adjusts },
  ],
  ...OF_CHOICE,
};

export const llmShaders: readonly LlmShader[] = [
  attend,
  attendJoin,
  ropeRows,
  attendRows,
  rmsRows,
  gluRows,
  route,
  normAdd,
  cap,
  pick,
  candidates,
];

/** Makes these shaders known to whoever makes pipelines by their names. */
export function addLlmShaders(): void {
  addLlmText();
  addShaders(llmShaders);
}

/** The bytes of a shader's uniforms. u32 are taken modulo 2³². */
export function uniformsOf(shader: LlmShader, values: Readonly<Record<string, number>>, list: readonly number[] = []): ArrayBuffer {
  const { uniforms, floats } = shader;
  const begin = Math.ceil(uniforms.length / 4) * 4;
  const words = new Uint32Array(shader.list ? begin + shader.list.length : uniforms.length);
  const numbers = new Float32Array(words.buffer);
  uniforms.forEach((name, i) => {
    if (floats.includes(name)) numbers[i] = values[name]!;
    else words[i] = values[name]!;
  });
  if (shader.list) words.set(list, begin);
  return words.buffer;
}

/**
 * Where a sequence stands: u32 each, in this order (shaders/llm/step.wgsl). `pick` writes it as storage, or the host where it chooses itself;
 * others read it as a uniform.
 */
export interface Step {
  /** 0: it has ended, and no kernel does anything. */
  readonly running: number;
  /** Of the first row. */
  readonly position: number;
  /** 1 for a token; rows of a prompt that are no padding. */
  readonly rows: number;
}
/** Bytes of a Step. */
export const STEP_BYTES = 12;
export const stepWords = ({ running, position, rows }: Step): Uint32Array<ArrayBuffer> => Uint32Array.of(running, position, rows);
