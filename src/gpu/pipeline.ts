// Variants → compute pipelines, cached per device by variantId. Compile errors become ShaderErrors that cite files of shaders/.
import { ShaderError } from '../errors.js';
import { shaders } from '../kernels/index.js';
import { type Shader, variantId } from '../kernels/kernel.js';
import { log } from '../log.js';
import { type Params, type Preprocessed, preprocess } from '../wgsl/preprocess.js';
import { sources } from '../wgsl/sources.js';
import { whileAlive } from './device.js';

export interface Variant {
  readonly shader: string;
  readonly params: Params;
}
interface Entry {
  pipeline: GPUComputePipeline | undefined;
  /** In flight, or done; rejects with a ShaderError. */
  ready: Promise<void>;
  error: Error | undefined;
}
const caches = new WeakMap<GPUDevice, Map<string, Entry>>();

/** The text of a variant, and the place in shaders/ of each line. */
export const variantText = ({ shader, params }: Variant): Preprocessed => preprocess(sources, `${shader}.wgsl`, params);

function cacheOf(device: GPUDevice): Map<string, Entry> {
  let cache = caches.get(device);
  if (!cache) caches.set(device, (cache = new Map()));
  return cache;
}

const TYPES: Readonly<Record<string, GPUBufferBindingType>> = { uniform: 'uniform', read: 'read-only-storage', write: 'storage' };

function bindGroupLayout(device: GPUDevice, shader: Shader, params: Params): GPUBindGroupLayout {
  return device.createBindGroupLayout({
    label: variantId(shader.name, params),
    entries: shader.bindings
      .filter(({ when }) => when?.(params) ?? true)
      .map(({ binding, access }) => ({ binding, visibility: 4 /* GPUShaderStage.COMPUTE */, buffer: { type: TYPES[access]! } })),
  });
}

/** Compiler messages as `shaders/file:line:column message`. */
async function shaderError(id: string, module: GPUShaderModule, text: Preprocessed, cause: string): Promise<ShaderError> {
  const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] as readonly GPUCompilationMessage[] }));
  const errors = messages.filter(({ type }) => type === 'error');
  const cited = errors.map(({ lineNum, linePos, message }) => {
    const place = text.places[lineNum - 1];
    return `${place ? `shaders/${place.file}:${place.line}:${linePos} ` : ''}${message}`;
  });
  return new ShaderError(id, cited.length > 0 ? cited : [cause]);
}

function start(device: GPUDevice, variant: Variant, wait: boolean): Entry {
  const id = variantId(variant.shader, variant.params);
  const shader = shaders.get(variant.shader)!;
  const text = variantText(variant);
  const began = performance.now();
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label: id, code: text.code });
  const layout = device.createPipelineLayout({ label: id, bindGroupLayouts: [bindGroupLayout(device, shader, variant.params)] });
  const descriptor: GPUComputePipelineDescriptor = { label: id, layout, compute: { module, entryPoint: 'main' } };
  const entry: Entry = { pipeline: undefined, ready: Promise.resolve(), error: undefined };
  let made: Promise<void> = Promise.resolve();
  if (wait) {
    made = device.createComputePipelineAsync(descriptor).then((pipeline) => {
      entry.pipeline = pipeline;
    });
    made.catch(() => {}); // seen below, after the scope
  } else {
    entry.pipeline = device.createComputePipeline(descriptor);
  }
  const scope = device.popErrorScope();
  const settle = async (): Promise<void> => {
    const [compiled, outcome] = await Promise.all([
      scope,
      made.then(
        () => undefined,
        (error: Error) => error,
      ),
    ]);
    const problem = compiled ?? outcome;
    if (problem) throw await shaderError(id, module, text, problem.message);
    const ms = performance.now() - began;
    log(device, 'compiled', `${id}: ${ms.toFixed(1)} ms`, { variant: id, ms });
  };
  entry.ready = whileAlive(device, settle());
  entry.ready.catch((error: Error) => {
    entry.error = error;
    entry.pipeline = undefined;
  });
  return entry;
}

/** A pipeline, compiled now if `prepare` did not. Errors found later reach `pipelineErrors`. @throws ShaderError */
export function pipelineOf(device: GPUDevice, variant: Variant): GPUComputePipeline {
  const cache = cacheOf(device);
  const id = variantId(variant.shader, variant.params);
  let entry = cache.get(id);
  if (entry?.error) throw entry.error;
  if (!entry?.pipeline) cache.set(id, (entry = start(device, variant, false)));
  return entry.pipeline!;
}

/** Are all these variants compiled? */
export function haveCompiled(device: GPUDevice, variants: Iterable<Variant>): boolean {
  const cache = cacheOf(device);
  for (const { shader, params } of variants) if (!cache.get(variantId(shader, params))?.pipeline) return false;
  return true;
}

/** Compiles variants in parallel, off the calling thread where the browser can. @throws ShaderError */
export async function preparePipelines(device: GPUDevice, variants: Iterable<Variant>): Promise<void> {
  const cache = cacheOf(device);
  const waiting: Promise<void>[] = [];
  for (const variant of variants) {
    const id = variantId(variant.shader, variant.params);
    let entry = cache.get(id);
    if (!entry) cache.set(id, (entry = start(device, variant, true)));
    waiting.push(entry.ready);
  }
  await Promise.all(waiting);
}

/** Resolves when these variants are known to have compiled. @throws ShaderError */
export async function pipelineErrors(device: GPUDevice, variants: Iterable<Variant>): Promise<void> {
  for (const { shader, params } of variants) await cacheOf(device).get(variantId(shader, params))?.ready;
}
