// Loads onnxruntime-web from the page's site, once: its WebAssembly by fetch, to show progress, then its script.
import type { Ort } from '../../../../bench/peers.js';
import { ORT_FILES, type OrtBuild } from './settings.js';

export interface LoadOptions {
  /** Folder of the files: an absolute URL that ends with a slash. */
  readonly folder: string;
  readonly progress: (share: number, text: string) => void;
  readonly signal: AbortSignal;
}

const loaded = new Map<OrtBuild, Ort>();
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** @throws Error if a file cannot be loaded */
export async function loadOrt(build: OrtBuild, { folder, progress, signal }: LoadOptions): Promise<void> {
  if (loaded.has(build)) return;
  const { script, wasm } = ORT_FILES[build];
  const binary = await download(`${folder}${wasm.file}`, wasm.bytes, signal, (got) =>
    progress(got / wasm.bytes, `onnxruntime-web: ${megabytes(got)} of ${megabytes(wasm.bytes)} MB`),
  );
  const ort = (await import(/* @vite-ignore */ `${folder}${script.file}`)) as Ort;
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.wasmPaths = { wasm: `${folder}${wasm.file}` }; // the loader is part of the script
  loaded.set(build, ort);
}

/** The build with this script; bench/peers.ts names builds by their scripts. */
export async function ortOf(file: string): Promise<Ort> {
  const build = (Object.keys(ORT_FILES) as OrtBuild[]).find((name) => ORT_FILES[name].script.file === file.replace(/\.mjs$/, '.js'));
  const ort = build && loaded.get(build);
  if (!ort) throw new Error(`${file} was not loaded`);
  return ort;
}

async function download(url: string, size: number, signal: AbortSignal, got: (bytes: number) => void): Promise<ArrayBuffer> {
  const response = await fetch(url, { signal });
  if (!response.ok || !response.body) throw new Error(`${url} could not be loaded: the server answered ${response.status}`);
  const out = new Uint8Array(size);
  let at = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > size) break; // reported below
    out.set(value, at);
    at += value.length;
    got(at);
  }
  if (at !== size) throw new Error(`${url}: expected ${size} bytes, got ${at}`);
  return out.buffer;
}
