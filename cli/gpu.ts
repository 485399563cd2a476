// Finds a GPU in Node by the optional package `webgpu` (Dawn), installed beside this package or where the command runs.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { requestDevice } from '../src/gpu/device.js';
import { INSTALL_DAWN } from './doctor-missing.js';

interface Dawn {
  create(options: readonly string[]): GPU;
  readonly globals: object;
}

/** Beside this package; under npx, where the command runs. */
const PLACES: readonly (() => Promise<unknown>)[] = [
  () => import('webgpu'),
  () => import(pathToFileURL(createRequire(join(process.cwd(), 'package.json')).resolve('webgpu')).href),
];

const isAbsent = (error: unknown): boolean =>
  ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes((error as { code?: string }).code ?? '');

/** Dawn, or why there is none: it is not installed, or it is and does not load. */
export async function dawn(places = PLACES): Promise<Dawn | { readonly why: string }> {
  let why = `the package webgpu (Dawn) is not installed; to install it here: ${INSTALL_DAWN}`;
  for (const load of places) {
    try {
      return (await load()) as Dawn;
    } catch (error) {
      if (!isAbsent(error))
        why = `the package webgpu is installed and does not load: ${(error as Error).message}; to install it anew: ${INSTALL_DAWN}`;
    }
  }
  return { why };
}

/** Dawn ends with its GPU object, so it stays referenced until the process ends. */
let gpu: GPU | undefined;

/** A device, or why there is none. */
export async function findDevice(): Promise<{ readonly device: GPUDevice; readonly adapter: string } | { readonly why: string }> {
  const module = await dawn();
  if ('why' in module) return module;
  try {
    Object.assign(globalThis, module.globals);
    gpu ??= module.create([]);
    const device = await requestDevice({ gpu });
    const { vendor, device: name, description } = device.adapterInfo;
    return { device, adapter: description || [vendor, name].filter(Boolean).join(' ') || 'unknown' };
  } catch (error) {
    return { why: (error as Error).message };
  }
}
