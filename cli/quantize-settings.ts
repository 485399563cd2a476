// Reads the options of antiquant quantize as settings, and checks combinations. Pure.
import type { FloatDType, LayerForm, Method } from '../src/formats.js';
import { BITS, type Bits } from '../src/problem/code-width.js';
import { choice, type Given, type Option, pattern, whole } from './command.js';
import { UsageError } from './exit.js';
import { HEADER } from './headers.js';

export type Scheme = 'compressed-tensors' | 'torch_npu';

export interface Settings {
  readonly bits: Bits;
  /** 0: a scale for each output; auto: for each layer the largest of AUTO_GROUPS that divides its K. */
  readonly group: number | 'auto';
  readonly symmetric: boolean;
  readonly method: Method;
  readonly scheme: Scheme;
  /** Of scales. */
  readonly dtype: FloatDType;
  readonly include: RegExp | undefined;
  readonly exclude: RegExp | undefined;
  readonly shardBytes: number;
  readonly activations: string | undefined;
}

export const OPTIONS: Readonly<Record<string, Option>> = {
  bits: { type: 'string', value: BITS.join('|'), help: 'of a weight; 4' },
  group: {
    type: 'string',
    value: 'N',
    help: 'inputs that share a scale: a multiple of 32; 0: all inputs; auto: 128, 64 or 32, the largest that divides the inputs of a layer. Default 128',
  },
  symmetric: { type: 'boolean', help: 'no zero points' },
  asymmetric: { type: 'boolean', help: 'with zero points (default)' },
  method: { type: 'string', value: 'minmax|mse|hqq', help: 'how scales are chosen (default minmax); hqq needs --scheme torch_npu' },
  scheme: { type: 'string', value: 'NAME', help: 'compressed-tensors (pack-quantized; default) or torch_npu' },
  dtype: { type: 'string', value: 'NAME', help: 'dtype of scales: float16 (default), bfloat16 or float32' },
  include: { type: 'string', value: 'REGEX', help: 'quantizes exactly the matrices whose names match' },
  exclude: { type: 'string', value: 'REGEX', help: 'copies the matrices whose names match' },
  'shard-bytes': { type: 'string', value: 'N', help: 'largest file of OUT, e.g. 2G; default 5G' },
  activations: { type: 'string', value: 'FILE', help: 'safetensors with statistics of the inputs, see below' },
  threads: { type: 'string', value: 'N', help: 'number of threads; default: as many as processors, up to 8' },
  ...HEADER,
  force: { type: 'boolean', help: 'starts again and replaces the files of an earlier run in OUT' },
};

/** @throws UsageError */
export function settingsOf(given: Given, { oneFile }: { readonly oneFile: boolean }): Settings {
  const bits = Number(choice(given, 'bits', BITS.map(String), '4')) as Bits;
  const group = given.group === 'auto' ? 'auto' : whole(given, 'group', { least: 0, otherwise: 128 });
  if (group !== 'auto' && group % 32 !== 0) throw new UsageError(`--group: expected 0 or a multiple of 32, or auto, got ${group}`);
  const method = choice(given, 'method', ['minmax', 'mse', 'hqq'], 'minmax');
  const scheme = choice(given, 'scheme', ['compressed-tensors', 'torch_npu'], 'compressed-tensors');
  if (given.symmetric && given.asymmetric) throw new UsageError('--symmetric, --asymmetric: expected one of them, got both');
  const symmetric = given.symmetric === true;
  if (method === 'hqq' && symmetric)
    throw new UsageError('--method hqq: expected --asymmetric, since it looks for zero points, got --symmetric');
  if (method === 'hqq' && scheme !== 'torch_npu')
    throw new UsageError(`--method hqq: expected --scheme torch_npu, since its zero points are floats, got ${scheme}`);
  if (oneFile && given['shard-bytes'] !== undefined)
    throw new UsageError('--shard-bytes: expected a folder as OUT, got the name of one .safetensors file');
  return {
    bits,
    group,
    symmetric,
    method,
    scheme,
    dtype: choice(given, 'dtype', ['float16', 'bfloat16', 'float32'], 'float16'),
    include: pattern(given, 'include'),
    exclude: pattern(given, 'exclude'),
    shardBytes: oneFile ? Number.MAX_SAFE_INTEGER : whole(given, 'shard-bytes', { least: 1, otherwise: 5e9 }),
    activations: given.activations as string | undefined,
  };
}

/** Those of `--group auto`, which all readers of the schemes take. */
export const AUTO_GROUPS = [128, 64, 32] as const;

/** The group of a layer with K inputs, 0 for a scale for each output; undefined if no group divides K. */
export function groupOf({ group }: Pick<Settings, 'group'>, k: number): number | undefined {
  if (group === 'auto') return AUTO_GROUPS.find((size) => k % size === 0);
  return group > 0 && k % group !== 0 ? undefined : group;
}

/** The written form of a layer of this size, whose K has a group. */
export function formOf(settings: Settings, { n, k }: { readonly n: number; readonly k: number }): LayerForm {
  const { bits, symmetric, dtype } = settings;
  const group = groupOf(settings, k) ?? 0;
  const grouped = group > 0 && group < k;
  return { n, k, bits, mode: grouped ? 'group' : 'channel', groupSize: grouped ? group : undefined, symmetric, scaleDtype: dtype };
}

/** Settings as JSON, for the record beside the output. */
export const settingsJson = ({ include, exclude, shardBytes, ...rest }: Settings): Readonly<Record<string, unknown>> => ({
  ...rest,
  activations: rest.activations ?? null,
  include: include?.source ?? null,
  exclude: exclude?.source ?? null,
  shardBytes: shardBytes === Number.MAX_SAFE_INTEGER ? null : shardBytes,
});
