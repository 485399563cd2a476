// What a model's configuration says of its quantization, in one form: config.json, its quantization_config alone, quantize_config.json or
// mlc-chat-config.json. Values that are not of the kind they should be count as not said; the tensors then decide.
import { reading } from '../arguments/check.js';

/** A model's quantization settings, in one form for all formats. */
export interface QuantizationConfig {
  /** quant_method, e.g. gptq, awq, compressed-tensors, bitsandbytes, hqq, torchao. */
  readonly method?: string | undefined;
  readonly bits?: number | undefined;
  /** group_size or q_group_size; of compressed-tensors those of all its config_groups. */
  readonly groupSizes: readonly number[];
  readonly descAct?: boolean | undefined;
  readonly symmetric?: boolean | undefined;
  /** GPTQ's. */
  readonly checkpointFormat?: string | undefined;
  /** AWQ's, e.g. gemm. */
  readonly version?: string | undefined;
  /** AutoRound's packing_format. */
  readonly packing?: string | undefined;
  /** compressed-tensors' transform_config says something. */
  readonly transforms: boolean;
  /** MLC's, e.g. q4f16_1. */
  readonly mlc?: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;
const fields = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value.toLowerCase() : undefined);
const flag = (value: unknown): boolean | undefined => (typeof value === 'boolean' ? value : undefined);
const whole = (value: unknown): number | undefined => (Number.isSafeInteger(value) ? (value as number) : undefined);

/**
 * @param config parsed JSON of any of the files above; anything else says nothing
 * @example quantizationOf(JSON.parse(configJson)).method // 'gptq'
 */
export const quantizationOf = (config: unknown): QuantizationConfig => reading('config', () => settingsIn(config));

function settingsIn(config: unknown): QuantizationConfig {
  const root = fields(config) ?? {};
  const own = fields(root.quantization_config) ?? fields(root.compression_config) ?? root;
  const groups = Object.values(fields(own.config_groups) ?? {}).flatMap((group): Fields[] => {
    const weights = fields(fields(group)?.weights);
    return weights ? [weights] : [];
  });
  // GPTQModel's overrides for modules by their names. Which module each is for is not looked up: what they disagree about is not said.
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
    version: mlc ? undefined : text(own.version), // of mlc-chat-config.json it is that file's own
    packing: text(own.packing_format),
    transforms: Object.keys(fields(fields(own.transform_config)?.config_groups) ?? fields(own.transform_config) ?? {}).length > 0,
    mlc,
  };
}

/** The group size that the configuration says and that makes `groups` of K; undefined if it says none. One group needs none. */
export const saidGroupSize = ({ groupSizes }: QuantizationConfig, k: number, groups: number): number | undefined =>
  groups === 1 ? undefined : groupSizes.find((size) => size >= 1 && Math.ceil(k / size) === groups);
