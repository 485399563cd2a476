// The bench under Dawn for Node: the same contenders without a browser. scripts/bench.mjs starts it for each run and reads its lines of
// JSON: { progress }, { result } or { error }.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { create, globals } from 'webgpu';
import { type BenchOptions, openDevice, runHost } from './run.js';

const { options, dist } = JSON.parse(process.argv[2]!) as { readonly options: BenchOptions; readonly dist: string };
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

Object.assign(globalThis, globals);
const holder = globalThis as { dawn?: GPU };
holder.dawn = create([]); // reachable for the life of the process: Dawn dies when it is collected
// The peers look for it there.
Object.defineProperty(globalThis, 'navigator', {
  value: { gpu: holder.dawn, userAgent: 'node', hardwareConcurrency: 2 },
  configurable: true,
});

// The peers write from WebAssembly's shared memory, which Dawn for Node does not take: it gets a copy of the part.
const { writeBuffer } = GPUQueue.prototype;
GPUQueue.prototype.writeBuffer = function (
  buffer: GPUBuffer,
  at: number,
  data: GPUAllowSharedBufferSource,
  from = 0,
  size?: number,
): undefined {
  const shared = ArrayBuffer.isView(data) ? data.buffer : data;
  if (!(shared instanceof SharedArrayBuffer)) return writeBuffer.call(this, buffer, at, data, from, size);
  const width = (data as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
  const begin = (ArrayBuffer.isView(data) ? data.byteOffset : 0) + from * width;
  const length = size === undefined ? data.byteLength - from * width : size * width;
  return writeBuffer.call(this, buffer, at, new Uint8Array(shared, begin, length).slice());
};

const cell = new Int32Array(new SharedArrayBuffer(4));
/** Dawn for Node polls in every turn of the event loop, which takes a core from a software adapter. */
async function wait(device: GPUDevice): Promise<void> {
  let done = false;
  const work = device.queue.onSubmittedWorkDone().finally(() => {
    done = true;
  });
  while (!done) {
    Atomics.wait(cell, 0, 0, 0.25);
    await new Promise(setImmediate);
  }
  await work;
}

const ort = (file: string): Promise<typeof import('onnxruntime-web')> => {
  const path = join(dist, file);
  if (!existsSync(path)) return Promise.reject(new Error(`${path} does not exist`));
  return import(/* @vite-ignore */ pathToFileURL(path).href);
};

try {
  const device = await openDevice(holder.dawn);
  const engine = {
    device,
    wait,
    ort,
    ortFiles: `${pathToFileURL(dist).href}/`,
    browser: false,
    host: 'dawn',
    name: `Node ${process.version}`,
  };
  say({ result: await runHost(engine, options, (progress) => say({ progress })) });
} catch (error) {
  say({ error: (error as Error).stack });
}
process.stdout.write('', () => process.exit(0));
