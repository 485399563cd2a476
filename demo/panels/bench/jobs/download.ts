// Fetches a file of known size, with progress: peers' WebAssembly has tens of megabytes.

export interface LoadOptions {
  /** Folder of the peer's files: an absolute URL that ends with a slash. */
  readonly folder: string;
  readonly progress: (share: number, text: string) => void;
  readonly signal: AbortSignal;
}

/** @throws Error if it is not there, or has another size; the reason of `signal` */
export async function download(url: string, size: number, signal: AbortSignal, got: (bytes: number) => void): Promise<ArrayBuffer> {
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
