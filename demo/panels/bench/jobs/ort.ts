// Loads onnxruntime-web from the page's site, once: its WebAssembly by fetch, to show progress, then its script.
import type { Ort } from '../../../../bench/peers.js';
import { download, type LoadOptions } from './download.js';
import { ORT_FILES, type OrtBuild } from './settings.js';

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
