// How long this device takes to compile a variant's text into a pipeline. Nothing of it reaches the library's own cache of pipelines.
import { ShaderError } from '../../../../src/errors.js';
import { variantText } from '../../../../src/gpu/pipeline.js';
import { shaders } from '../../../../src/kernels/index.js';
import { variantId } from '../../../../src/kernels/kernel.js';
import type { JobContext } from '../../../worker/rpc.js';
import { median } from '../../../worker/timing.js';
import type { Variant } from './text.js';

/** Milliseconds of one compilation. */
interface Compilation {
  /** From createShaderModule until getCompilationInfo answers: the browser has read and checked the text. */
  readonly module: number;
  /** From createComputePipelineAsync until it resolves: browser and driver have made machine code. */
  readonly pipeline: number;
}
export interface Times {
  /** Of the whole. */
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** Of the run whose whole is the median. */
  readonly at: Compilation;
}
export interface Compiled {
  readonly id: string;
  readonly runs: number;
  /** Texts that this browser has never seen: each ends with a comment of its own. */
  readonly cold: Times;
  /** The text as it is, after it was compiled once. */
  readonly warm: Times;
}

/** Features that a text enables, by the name that devices know them by. */
const FEATURES: Readonly<Record<string, string>> = {
  f16: 'shader-f16',
  subgroups: 'subgroups',
  chromium_experimental_subgroup_matrix: 'chromium-experimental-subgroup-matrix',
};

/** What a text needs of a device. */
export const featuresOf = (code: string): readonly string[] =>
  [...code.matchAll(/^\s*enable (\w+);/gm)].map(([, name]) => FEATURES[name!] ?? name!);

const TYPES = { uniform: 'uniform', read: 'read-only-storage', write: 'storage' } as const;
const RUNS = 3;

const whole = ({ module, pipeline }: Compilation): number => module + pipeline;
function timesOf(runs: readonly Compilation[]): Times {
  const totals = runs.map(whole);
  const middle = median(totals);
  return { median: middle, least: Math.min(...totals), most: Math.max(...totals), at: runs.find((run) => whole(run) === middle)! };
}

/** @throws ShaderError with the compiler's words */
export async function compile(device: GPUDevice, variant: Variant, context: JobContext): Promise<Compiled> {
  const { shader, params } = variant;
  const id = variantId(shader, params);
  const { code } = variantText(variant);
  const lacking = featuresOf(code).filter((name) => !(device.features as ReadonlySet<string>).has(name));
  if (lacking.length > 0) throw new ShaderError(id, [`this device lacks ${lacking.join(' and ')}, which the text enables`]);
  const entries = shaders
    .get(shader)!
    .bindings.filter(({ when }) => when?.(params) ?? true)
    .map(({ binding, access }) => ({ binding, visibility: 4 /* GPUShaderStage.COMPUTE */, buffer: { type: TYPES[access] } }));
  const layout = device.createPipelineLayout({ bindGroupLayouts: [device.createBindGroupLayout({ entries })] });

  const once = async (text: string): Promise<Compilation> => {
    await context.breathe();
    const begin = performance.now();
    const module = device.createShaderModule({ label: id, code: text });
    const { messages } = await module.getCompilationInfo();
    const errors = messages.filter(({ type }) => type === 'error');
    if (errors.length > 0)
      throw new ShaderError(
        id,
        errors.map(({ lineNum, message }) => `line ${lineNum}: ${message}`),
      );
    const checked = performance.now();
    await device.createComputePipelineAsync({ label: id, layout, compute: { module, entryPoint: 'main' } });
    return { module: checked - begin, pipeline: performance.now() - checked };
  };
  const many = async (what: string, from: number, text: () => string): Promise<Times> => {
    const runs: Compilation[] = [];
    for (let i = 0; i < RUNS; i++) {
      context.progress((from + i) / (2 * RUNS + 1), `${what}, ${i + 1} of ${RUNS}`);
      runs.push(await once(text()));
    }
    return timesOf(runs);
  };
  const cold = await many('Compiling a text that is new to the browser', 0, () => `${code}\n// ${crypto.randomUUID()}\n`);
  context.progress(RUNS / (2 * RUNS + 1), 'Compiling the text itself');
  await once(code);
  const warm = await many('Compiling the same text again', RUNS + 1, () => code);
  return { id, runs: RUNS, cold, warm };
}
