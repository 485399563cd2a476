// Recognizes the program (browser, Node, Deno, Bun, …) for error messages. Nothing else may depend on it.

/** The globals that tell programs apart. */
export interface Host {
  readonly process?: { readonly versions?: { readonly node?: string; readonly electron?: string } };
  readonly Deno?: unknown;
  readonly Bun?: unknown;
  readonly isSecureContext?: boolean;
  readonly document?: unknown;
  readonly WorkerGlobalScope?: unknown;
}
type Kind = 'deno' | 'bun' | 'node' | 'insecure page' | 'browser' | 'other';

function kindOf(host: Host): Kind {
  if (host.Deno !== undefined) return 'deno';
  if (host.Bun !== undefined) return 'bun';
  const { node, electron } = host.process?.versions ?? {};
  // Server programs may have a fake document, and Electron's pages have Node's process.
  if (node !== undefined && electron === undefined) return 'node';
  if (host.document === undefined && host.WorkerGlobalScope === undefined) return 'other';
  return host.isSecureContext === false ? 'insecure page' : 'browser';
}

const DAWN = 'requestDevice({ gpu: create([]) }), with create of the npm package webgpu, has one';
const NO_GPU: Readonly<Record<Kind, string>> = {
  deno: 'there is no navigator.gpu: run Deno with --unstable-webgpu',
  bun: `there is no navigator.gpu: Bun has no WebGPU; ${DAWN}`,
  node: `there is no navigator.gpu: Node has no WebGPU; ${DAWN}`,
  'insecure page': 'there is no navigator.gpu: the page is not on https or localhost',
  browser: 'there is no navigator.gpu: this browser has no WebGPU, or it is switched off',
  other: 'there is no navigator.gpu here; give requestDevice({ gpu }) if you have a GPU object, or call it where pages are shown',
};

/** Why there is no `navigator.gpu`, and what helps. */
export const whyNoGpu = (host: Host = globalThis as Host): string => NO_GPU[kindOf(host)];

/** Why there is no adapter. */
export function whyNoAdapter(host: Host = globalThis as Host): string {
  const kind = kindOf(host);
  const by =
    kind === 'browser' || kind === 'insecure page'
      ? 'that the browser accepts'
      : 'was found (on Linux: a Vulkan driver, with its ICD file)';
  return `requestAdapter() found no adapter: no GPU driver ${by}`;
}
