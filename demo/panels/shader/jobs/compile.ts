// Measures how long this device takes to compile a variant's text into a pipeline, without the library's cache of pipelines.
import { ShaderError } from '../../../../src/errors.js';
import { variantText } from '../../../../src/gpu/pipeline.js';
import { shaders } from '../../../../src/kernels/index.js';
import { variantId } from '../../../../src/kernels/kernel.js';
import type { JobContext } from '../../../worker/rpc.js';
import { median } from '../../../worker/timing.js';
import type { Variant } from './text.js';

/** Milliseconds of one compilation. */
interface Compilation {
  /** From createShaderModule until getCompilationInfo resolves: the browser has parsed and checked the text. */
  readonly module: number;
  /** From createComputePipelineAsync until it resolves: browser and driver have generated machine code. */
  readonly pipeline: number;
}
export interface Times {
  /** Median of the total. */
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** The run whose total is the median. */
  readonly at: Compilation;
}
export interface Compiled {
  readonly id: string;
  readonly runs: number;
  /** Texts that are new to the browser: each ends with a unique comment. */
  readonly cold: Times;
  /** The unchanged text, compiled again. */
  readonly warm: Times;
}

/** WGSL's names of features → WebGPU's. */
const FEATURES: Readonly<Record<string, string>> = {
  f16: 'shader-f16',
  subgroups: 'subgroups',
  chromium_experimental_subgroup_matrix: 'chromium-experimental-subgroup-matrix',
};

/** The features that a text needs. */
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

/** @throws ShaderError with the compiler's message */
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
