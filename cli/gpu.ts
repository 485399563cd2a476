// Finds a GPU in Node by the optional package `webgpu` (Dawn), installed beside this package or where the command runs.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { requestDevice } from '../src/gpu/device.js';

interface Dawn {
  create(options: readonly string[]): GPU;
  readonly globals: object;
}

async function dawn(): Promise<Dawn | undefined> {
  try {
    return (await import('webgpu')) as unknown as Dawn;
  } catch {
    // not beside this package, as under npx
  }
  try {
    const path = createRequire(join(process.cwd(), 'package.json')).resolve('webgpu');
    return (await import(pathToFileURL(path).href)) as Dawn;
  } catch {
    return undefined;
  }
}

/** Dawn ends with its GPU object, so it stays referenced until the process ends. */
let gpu: GPU | undefined;

/** A device, or why there is none. */
export async function findDevice(): Promise<{ readonly device: GPUDevice; readonly adapter: string } | { readonly why: string }> {
  const module = await dawn();
  if (!module) return { why: 'the package webgpu is not installed' };
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
