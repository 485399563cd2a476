// Reads a model's quantization settings in one form: from config.json, its quantization_config, quantize_config.json or
// mlc-chat-config.json; MLX has `quantization` in config.json. A value of the wrong type counts as absent; the tensors then decide.
import { reading } from '../arguments/check.js';

/** A model's quantization settings, in one form for all formats. */
export interface QuantizationConfig {
  /** quant_method, e.g. gptq, awq, compressed-tensors, bitsandbytes, hqq, torchao. */
  readonly method?: string | undefined;
  readonly bits?: number | undefined;
  /** group_size or q_group_size; for compressed-tensors those of all config_groups. */
  readonly groupSizes: readonly number[];
  readonly descAct?: boolean | undefined;
  readonly symmetric?: boolean | undefined;
  /** GPTQ's checkpoint_format. */
  readonly checkpointFormat?: string | undefined;
  /** AWQ's version, e.g. gemm. */
  readonly version?: string | undefined;
  /** FP8's weight_block_size, or compressed-tensors' block_structure: of N and of K. */
  readonly blockSize?: readonly number[] | undefined;
  /** AutoRound's packing_format. */
  readonly packing?: string | undefined;
  /** compressed-tensors' transform_config is not empty. */
  readonly transforms: boolean;
  /** BitNet's linear_class. */
  readonly linearClass?: string | undefined;
  /** MLC's quantization, e.g. q4f16_1. */
  readonly mlc?: string | undefined;
  /** MLX's mode, e.g. affine. */
  readonly mode?: string | undefined;
  /** MLX's settings of layers by name, in place of the model's; false: the layer is not quantized. */
  readonly layers: ReadonlyMap<
    string,
    false | { readonly bits?: number | undefined; readonly groupSize?: number | undefined; readonly mode?: string | undefined }
  >;
}

type Fields = Readonly<Record<string, unknown>>;
const fields = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value.toLowerCase() : undefined);
const flag = (value: unknown): boolean | undefined => (typeof value === 'boolean' ? value : undefined);
const whole = (value: unknown): number | undefined => (Number.isSafeInteger(value) ? (value as number) : undefined);

const pair = (value: unknown): readonly number[] | undefined =>
  Array.isArray(value) && value.length === 2 && value.every((size) => Number.isSafeInteger(size) && size >= 1) ? value : undefined;

/**
 * Reads the quantization settings of a configuration.
 * @param config parsed JSON of any of these files: config.json, its quantization_config, quantize_config.json, mlc-chat-config.json; any other
 *   value gives no settings
 * @example quantizationOf(JSON.parse(configJson)).method // 'gptq'
 */
export const quantizationOf = (config: unknown): QuantizationConfig => reading('config', () => settingsIn(config));

/** Settings that MLX has for a model and for a layer. */
const formIn = (own: Fields) => ({ bits: whole(own.bits), groupSize: whole(own.group_size), mode: text(own.mode) });
const isForm = (own: Fields | undefined): boolean => own !== undefined && Object.values(formIn(own)).some((value) => value !== undefined);

/** The settings of layers, which lie among the model's by the layers' names. */
function layersIn(own: Fields): QuantizationConfig['layers'] {
  const layers = new Map<string, false | ReturnType<typeof formIn>>();
  for (const [name, value] of Object.entries(own)) {
    const layer = fields(value);
    if (value === false) layers.set(name, value);
    else if (layer && isForm(layer)) layers.set(name, formIn(layer));
  }
  return layers;
}

function settingsIn(config: unknown): QuantizationConfig {
  const root = fields(config) ?? {};
  // MLX writes `quantization` and copies it to quantization_config; a model may have kept one of what it was made of.
  const mlx = isForm(fields(root.quantization)) ? fields(root.quantization) : undefined;
  const own = mlx ?? fields(root.quantization_config) ?? fields(root.compression_config) ?? root;
  const groups = Object.values(fields(own.config_groups) ?? {}).flatMap((group): Fields[] => {
    const weights = fields(fields(group)?.weights);
    return weights ? [weights] : [];
  });
  // GPTQModel overrides settings of modules by name. Names are not matched; a setting on which overrides differ counts as absent.
  const overrides = Object.values(fields(own.dynamic) ?? {}).flatMap((one): Fields[] => [fields(one) ?? {}]);
  const agreed = (name: string): boolean | undefined =>
    overrides.every((one) => one[name] === undefined || one[name] === own[name]) ? flag(own[name]) : undefined;
  const sizes = [own.group_size, own.q_group_size, ...[...groups, ...overrides].map((one) => one.group_size)].flatMap(
    (size) => whole(size) ?? [],
  );
  const mlc = text(root.quantization);
  const bits = new Set(groups.flatMap((weights) => whole(weights.num_bits) ?? []));
  return {
    method: text(own.quant_method)
      ?.replace(/^intel\//, '')
      .replace('autoround', 'auto-round')
      .replace('_', '-'),
    bits: whole(own.bits) ?? whole(own.w_bit) ?? (bits.size === 1 ? [...bits][0] : undefined),
    groupSizes: [...new Set(sizes)],
    descAct: agreed('desc_act'),
    symmetric: agreed('sym'),
    checkpointFormat: text(own.checkpoint_format),
    version: mlc ? undefined : text(own.version), // in mlc-chat-config.json it is the file's version
    blockSize: [own, ...groups].map((one) => pair(one.weight_block_size ?? one.block_structure)).find((size) => size),
    packing: text(own.packing_format),
    transforms: Object.keys(fields(fields(own.transform_config)?.config_groups) ?? fields(own.transform_config) ?? {}).length > 0,
    linearClass: text(own.linear_class),
    mlc,
    mode: text(own.mode),
    layers: layersIn(own),
  };
}

/** The configuration's group size that cuts K into `groups`; undefined without one. One group needs none. */
export const saidGroupSize = ({ groupSizes }: QuantizationConfig, k: number, groups: number): number | undefined =>
  groups === 1 ? undefined : groupSizes.find((size) => size >= 1 && Math.ceil(k / size) === groups);
