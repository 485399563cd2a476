// `npm run bench -- --against COMMIT`: this tree against a commit of its past, in turns in one process, on one device. Weights are random
// blocks of GGUF's types, and tables of 4 bits as bitsandbytes has them. Time is CPU time of the process, all threads, where the adapter is
// software; else the time that the queue takes. A ratio is the median over rounds of (the commit's time / this tree's) in the same round.
//
// Needs both trees built: scripts/bench.mjs does that. argv[2]: JSON { here, there, only, rounds, shapes, rows, kernel }.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { create, globals } from 'webgpu';

const { here, there, only, rounds = 15, shapes = [1024, 2048], rows = [1, 4, 16, 128], kernel } = JSON.parse(process.argv[2]);
Object.assign(globalThis, globals);
globalThis.dawn = create([]); // reachable for the life of the process: Dawn dies when it is collected
const load = (dist, file) => import(pathToFileURL(join(dist, file)).href);
const [mine, theirs] = await Promise.all(
  [here, there].map(async (dist) => ({ core: await load(dist, 'index.js'), formats: await load(dist, 'formats.js') })),
);

/** Whole numbers that look like noise. */
function noise(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}

/** Bytes of a block, and where its halves lie: those get small positive numbers, so that no weight is infinite. */
const BLOCKS = {
  Q4_0: { k: 32, bytes: 18, halves: [0] },
  Q8_0: { k: 32, bytes: 34, halves: [0] },
  Q5_0: { k: 32, bytes: 22, halves: [0] },
  Q4_K: { k: 256, bytes: 144, halves: [0, 2] },
  Q5_K: { k: 256, bytes: 176, halves: [0, 2] },
  Q6_K: { k: 256, bytes: 210, halves: [208] },
  Q3_K: { k: 256, bytes: 110, halves: [108] },
  Q2_K: { k: 256, bytes: 84, halves: [80, 82] },
  IQ4_NL: { k: 32, bytes: 18, halves: [0] },
  IQ4_XS: { k: 256, bytes: 136, halves: [0] },
  MXFP4: { k: 32, bytes: 17, exponents: [0] },
};

function tensorOf(dtype, n, k) {
  const { k: block, bytes, halves = [], exponents = [] } = BLOCKS[dtype];
  const next = noise(n + k);
  const data = new Uint8Array((n * k * bytes) / block);
  for (let i = 0; i < data.length; i++) data[i] = next();
  for (let at = 0; at < data.length; at += bytes) {
    for (const half of halves) {
      data[at + half + 1] = 0x10 + (next() & 7); // 2^-11 to 2^-9
    }
    for (const exponent of exponents) data[at + exponent] = 118 + (next() & 7);
  }
  return { name: `${dtype} weight`, dtype, shape: [n, k], bytes: data };
}

const adapter = await globalThis.dawn.requestAdapter();
const features = ['shader-f16', 'subgroups'].filter((feature) => adapter.features.has(feature));
const device = await adapter.requestDevice({
  requiredFeatures: features,
  requiredLimits: { maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize, maxBufferSize: adapter.limits.maxBufferSize },
});
const software = /llvmpipe|lavapipe|swiftshader|software/i.test(
  `${adapter.info.description} ${adapter.info.device} ${adapter.info.architecture}`,
);
const clock = () => {
  if (!software) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

const plan = kernel && { force: { kernel } };
/** Milliseconds of `count` products. */
async function time({ layer, x }, count) {
  const start = clock();
  for (let i = 0; i < count; i++) layer.forward(x).destroy();
  await device.queue.onSubmittedWorkDone();
  return clock() - start;
}

async function contender({ core, formats }, tensor, xs, m) {
  const [n, k] = tensor.shape;
  const layer = new core.LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32', plan });
  layer.loadMatrix(formats.importGguf(tensor));
  const x = core.Tensor.from(device, xs, { shape: [m, k], dtype: 'float32' });
  await layer.prepare([m]); // with its self-test
  const y = await layer.forward(x).read();
  const { kernel, dispatches } = layer.explain(m);
  return { layer, x, y, kernel: dispatches.length > 1 ? `${kernel} of ${dispatches.length} dispatches` : kernel };
}

const header = ['format', 'K = N', 'M', 'then', 'now', 'ratio', 'second lowest', 'second highest', 'largest difference'];
console.log(`${adapter.info.description}; ${rounds} rounds\n\n| ${header.join(' | ')} |\n|${header.map(() => '---').join('|')}|`);
let wrong = 0;
for (const dtype of Object.keys(BLOCKS).filter((name) => !only || new RegExp(only).test(name)))
  for (const size of shapes)
    for (const m of rows) {
      const tensor = tensorOf(dtype, size, size);
      const next = noise(m);
      const xs = Float32Array.from({ length: m * size }, () => (next() % 2001) / 1000 - 1);
      const [now, then] = [await contender(mine, tensor, xs, m), await contender(theirs, tensor, xs, m)];
      const scale = now.y.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      const difference = now.y.reduce((max, value, i) => Math.max(max, Math.abs(value - then.y[i])), 0) / scale;
      if (!(difference < 1e-4)) wrong++;
      const once = Math.max(await time(now, 1), 0.2);
      const count = Math.max(1, Math.round(100 / once));
      const ratios = [];
      for (let round = 0; round < rounds; round++) {
        const order = round % 2 ? [now, then] : [then, now];
        const spent = new Map();
        for (const one of order) spent.set(one, await time(one, count));
        ratios.push(spent.get(then) / spent.get(now));
      }
      ratios.sort((a, b) => a - b);
      const [low, high] = [ratios[Math.min(1, rounds - 1)], ratios[Math.max(0, rounds - 2)]];
      const cells = [
        dtype,
        size,
        m,
        then.kernel,
        now.kernel,
        ...[median(ratios), low, high].map((r) => r.toFixed(2)),
        difference.toExponential(1),
      ];
      console.log(`| ${cells.join(' | ')} |`);
      for (const { layer, x } of [now, then]) {
        x.destroy();
        layer.destroy();
      }
    }
if (wrong > 0) console.error(`${wrong} products differ by more than 1e-4 of the largest |y|`);
process.exit(wrong > 0 ? 1 : 0);
