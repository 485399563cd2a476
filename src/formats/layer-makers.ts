// From the tensors of a layer, found by their names, to the layer: what of the configuration, of the file's metadata and of small tensors
// each format's own maker has to be told. The makers are the formats'; which tensors there are is layer-formats.ts's.
import { FormatError } from '../errors.js';
import { at, type RawTensor } from '../files/raw-tensor.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { wordsInRow } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { awqLayer } from './awq.js';
import { type BitsAndBytes4, bitsAndBytes4Layer } from './bitsandbytes4.js';
import { type CompressedTensors, compressedTensorsLayer } from './compressed-tensors.js';
import { gptqLayer } from './gptq.js';
import { hqqLayer, hqqMeta } from './hqq.js';
import { asWholeNumbers, headerOf } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { MLC_KINDS, mlcLayer } from './mlc-weights.js';
import { parseQuantState } from './quant-state.js';
import { type QuantizationConfig, saidGroupSize } from './quantization-config.js';
import { type TorchNpuOptions, torchNpuLayer } from './torch-npu.js';
import { type TorchaoInt4Options, torchaoInt4Layer, torchaoTinygemmLayer } from './torchao.js';

/** What a format may ask, beside its tensors, to make a layer. */
export interface LayerContext {
  readonly name: string;
  readonly bias: TensorInfo | undefined;
  readonly config: QuantizationConfig;
  readonly metadata: TensorFile['metadata'];
  /** Of the caller, for what no file says. */
  readonly torchNpu?: TorchNpuOptions | undefined;
  readonly torchao?: TorchaoInt4Options | undefined;
  /** A tensor of settings. @throws FormatError if it is larger than settings are */
  read(info: TensorInfo): Promise<RawTensor>;
}

export type Found = Readonly<Record<string, TensorInfo>>;

const wrong = (info: TensorInfo, field: string, expected: string, got: string): FormatError =>
  new FormatError(at(headerOf(info), field), expected, got);

/** GPTQ and AWQ share their tensors' names. What the configuration says goes first; else words along N are an eighth of the scales' N. */
export function isAwq({ qweight, scales }: Found, { config }: LayerContext): boolean {
  if (config.method === 'awq' || config.method === 'gptq') return config.method === 'awq';
  return qweight!.shape[1] !== scales!.shape[1] && qweight!.shape[1]! * 8 === scales!.shape[1];
}

/** bits of GPTQ's words: from tensors that hold K or N otherwise, since layers may differ; or as the configuration says. */
function gptqBits({ qweight, qzeros, scales, g_idx }: Found, { config }: LayerContext): 2 | 3 | 4 | 8 {
  const [rows = 0, n = 0] = qweight!.shape;
  const seen = [
    g_idx && (rows * 32) / g_idx.shape[0]!,
    qzeros && scales!.shape[1] === n ? (qzeros.shape[1]! * 32) / n : undefined,
    config.bits,
  ];
  const bits = seen.find((value) => value === 2 || value === 3 || value === 4 || value === 8);
  if (!bits) throw wrong(qweight!, 'bits', '2, 3, 4 or 8, in the configuration or by g_idx or qzeros', String(config.bits ?? 'none'));
  return bits as 2 | 3 | 4 | 8;
}

export function gptq(tensors: Found, context: LayerContext): LayerSource {
  const { name, bias, config } = context;
  const { qweight, qzeros, scales, g_idx } = tensors as { qweight: TensorInfo; scales: TensorInfo } & Found;
  const bits = gptqBits(tensors, context);
  const said = config.checkpointFormat;
  // Files of symmetric weights say `gptq` and may hold either: gptq.ts looks.
  const checkpointFormat = said === 'gptq_v2' ? said : said === 'gptq' && config.symmetric === false ? said : 'auto';
  const k = g_idx?.shape[0] ?? (qweight.shape[0]! * 32) / bits;
  return gptqLayer(
    { qweight, qzeros, scales, g_idx, bias },
    {
      name,
      bits,
      groupSize: saidGroupSize(config, k, scales.shape[0]!),
      checkpointFormat,
      descAct: config.descAct,
      symmetric: config.symmetric,
    },
  );
}

export function awq({ qweight, qzeros, scales }: Found, { name, bias, config }: LayerContext): LayerSource {
  if (config.version !== undefined && config.version !== 'gemm')
    throw wrong(qweight!, 'version', 'gemm (other versions pack along K)', config.version);
  const groupSize = saidGroupSize(config, qweight!.shape[0]!, scales!.shape[0]!);
  return awqLayer({ qweight: qweight!, qzeros: qzeros!, scales: scales!, bias }, { name, groupSize });
}

/** q4f16_1 and its like: as mlc-chat-config.json says; without it, from shapes and from the bits that the index says a weight has. */
export function mlc({ q_weight, q_scale }: Found, { name, bias, config, metadata }: LayerContext): LayerSource {
  const perWeight = Number(metadata.BitsPerParam);
  if (!config.mlc && !Number.isFinite(perWeight)) throw wrong(q_weight!, 'quantization', 'one said, as mlc-chat-config.json does', 'none');
  const dtype = ({ F16: 'f16', F32: 'f32', BF16: 'bf16' } as const)[q_scale!.dtype];
  const guess = `q${perWeight < 4 ? 3 : 4}${dtype}_${q_weight!.shape[0] === q_scale!.shape[0] ? 1 : 0}`;
  const format = config.mlc ?? guess;
  if (!Object.hasOwn(MLC_KINDS, format)) throw wrong(q_weight!, 'quantization', Object.keys(MLC_KINDS).join(' or '), format);
  return mlcLayer({ q_weight: q_weight!, q_scale: q_scale!, bias }, { name, format: format as keyof typeof MLC_KINDS });
}

export async function compressedTensors(tensors: Found, { name, bias, config, read }: LayerContext): Promise<LayerSource> {
  const { weight_shape, ...own } = tensors;
  const { weight_packed: packed, weight_scale, weight } = own;
  const [, k] = weight_shape ? asWholeNumbers(await read(weight_shape)) : [];
  const said = config.bits === 4 || config.bits === 8 ? config.bits : undefined;
  // Layers may differ: what is said for all of them counts where this one's words agree.
  const agrees = !packed || k === undefined || (said && wordsInRow(k, said) === packed.shape[1]);
  const bits = agrees ? said : undefined;
  const columns = k ?? (packed ? (packed.shape[1]! * 32) / (bits ?? 4) : weight!.shape[1]!);
  const groupSize = saidGroupSize(config, columns, weight_scale!.shape[1] ?? 1);
  return compressedTensorsLayer(own as unknown as CompressedTensors<TensorInfo>, { name, bias, k, bits, groupSize });
}

export async function hqq({ W_q, scale, zero, ...settings }: Found, { name, bias, read }: LayerContext): Promise<LayerSource> {
  const entries = await Promise.all(Object.entries(settings).map(async ([key, info]) => [key, await read(info)] as const));
  const meta = hqqMeta(Object.fromEntries(entries) as never);
  return hqqLayer({ W_q: W_q!, scale: scale!, zero: zero! }, { name, bias, meta });
}

/** Of X.weight.quant_state.bitsandbytes__nf4 and the tensors beside it. */
export const bitsAndBytes4 =
  (state: string) =>
  async (tensors: Found, { name, bias, read }: LayerContext): Promise<LayerSource> => {
    const own = Object.fromEntries(Object.entries(tensors).map(([part, info]) => [part.replace('weight.', ''), info]));
    const quantState = parseQuantState(await read(tensors[state]!));
    delete own[state.replace('weight.', '')];
    return bitsAndBytes4Layer(own as unknown as BitsAndBytes4<TensorInfo>, { name, bias, state: quantState });
  };

interface TorchaoTensor {
  readonly type?: string | undefined;
  readonly blockSize?: number | undefined;
  readonly shape?: readonly number[] | undefined;
}

/** What torchao's safetensors metadata says of a tensor: JSON under its name. */
function torchaoTensor({ metadata, name }: LayerContext): TorchaoTensor {
  try {
    const { _type, _data } = JSON.parse(String(metadata[name === '' ? 'weight' : `${name}.weight`]));
    const numbers = (value: unknown) => (Array.isArray(value) && value.every(Number.isSafeInteger) ? (value as number[]) : undefined);
    return { type: String(_type), blockSize: numbers(_data?.block_size)?.at(-1), shape: numbers(_data?.shape) };
  } catch {
    return {}; // none, or not torchao's
  }
}

export function torchaoInt4(tensors: Found, context: LayerContext): LayerSource {
  const { name, bias, torchao } = context;
  const { _weight_qdata: qdata, _weight_scale: scale, _weight_zero_point: zero_point, _weight_scale_and_zero: scale_and_zero } = tensors;
  const { _weight_act_pre_scale: preScale } = tensors;
  if (preScale) throw wrong(preScale, 'act_pre_scale', 'none: x would have to be scaled first', showShape(preScale.shape));
  const { type, blockSize, shape } = torchaoTensor(context);
  if (qdata!.shape.length === 4)
    return torchaoTinygemmLayer({ qdata: qdata!, scale_and_zero: scale_and_zero! }, { name, bias, n: shape?.[0], k: shape?.[1] });
  // Int4Tensor's bytes are always pack_int4's.
  const nibbleOrder = torchao?.nibbleOrder ?? (type === 'Int4Tensor' ? 'even-low' : undefined);
  if (!nibbleOrder) throw wrong(qdata!, 'nibbleOrder', 'one said: even-high or even-low, or Int4Tensor in the metadata', type ?? 'none');
  const groups = (scale ?? scale_and_zero)!.shape[0];
  const groupSize = groups === 1 ? undefined : (torchao?.groupSize ?? blockSize);
  return torchaoInt4Layer({ qdata: qdata!, scale, zero_point, scale_and_zero }, { name, bias, nibbleOrder, groupSize });
}

export function torchNpu(tensors: Found, { name, bias, config, torchNpu: options }: LayerContext): LayerSource {
  const { weight, antiquant_scale, antiquant_offset, quant_scale } = tensors;
  if (quant_scale)
    throw wrong(quant_scale, 'quant_scale', 'none: an int8 output is no part of a matrix (LinearWeightQuant takes it)', 'one');
  const k = weight!.shape[options?.transposed ? 0 : 1]! * (weight!.dtype === 'I32' && !options?.transposed ? 8 : 1);
  const groups = antiquant_scale!.shape.length === 2 ? antiquant_scale!.shape[options?.transposed ? 0 : 1]! : 1;
  const groupSize = groups === 1 ? undefined : (options?.groupSize ?? saidGroupSize(config, options?.k ?? k, groups));
  return torchNpuLayer({ weight: weight!, antiquant_scale: antiquant_scale!, antiquant_offset }, { ...options, name, bias, groupSize });
}
