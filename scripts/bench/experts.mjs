// `npm run bench -- --experts`: forwardExperts against a loop of `encode` over the layers of the same matrices, in turns in one process, on one
// device: K = 2048, N = 1024, each token meets 8 of 64 experts, int4 in groups of 32. The loop has everything for nothing that is done on the
// GPU here: it knows the ids, and its rows of x lie sorted by expert. Time is CPU time of the process, all threads, where the adapter is
// software; else the time that the queue takes. A ratio is the median over rounds of (the loop's time / ours) in the same round.
//
// Needs the tree built: scripts/bench.mjs does that. argv[2]: JSON { here, rounds, rows }.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { create, globals } from 'webgpu';

const { here, rounds = 15, rows = [1, 4, 16, 128] } = JSON.parse(process.argv[2]);
Object.assign(globalThis, globals);
globalThis.dawn = create([]); // reachable for the life of the process: Dawn dies when it is collected
const { ExpertLayers, encodeExperts, LinearWeightQuant, sortPairs, Tensor } = await import(pathToFileURL(join(here, 'index.js')).href);
const [K, N, E, TOP] = [2048, 1024, 64, 8];

/** Whole numbers that look like noise. */
let state = 1;
const noise = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state >>> 8;
};

const adapter = await globalThis.dawn.requestAdapter();
const features = ['shader-f16', 'subgroups'].filter((feature) => adapter.features.has(feature));
const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits: { maxStorageBufferBindingSize, maxBufferSize } });
const software = /llvmpipe|lavapipe|swiftshader|software/i.test(`${adapter.info.description} ${adapter.info.architecture}`);
const clock = () => {
  if (!software) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

const matrices = Array.from({ length: E }, () => ({
  n: N,
  k: K,
  bits: 4,
  groupSize: 32,
  codes: Uint32Array.from({ length: (N * K) / 8 }, () => (noise() << 16) ^ noise()),
  scale: Float32Array.from({ length: (N * K) / 32 }, () => 2 ** -((noise() % 4) + 5)),
  scaleDtype: 'float16',
}));
const sizes = { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' };
const layers = matrices.map((matrix) => new LinearWeightQuant(device, sizes).loadMatrix(matrix));
const experts = new ExpertLayers(device, { experts: E, ...sizes }).loadMatrices(matrices);

/** Milliseconds of `count` times what `encode` records. */
async function time(encode, count) {
  const start = clock();
  for (let i = 0; i < count; i++) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
  await device.queue.onSubmittedWorkDone();
  return clock() - start;
}

const floats = (data, shape) => Tensor.from(device, data, { shape, dtype: 'float32' });
const empty = (count) => floats(new Float32Array(count * N), [count, N]);
const header = [
  'M',
  'experts with tokens',
  'kernel',
  'tile',
  'loop of encode / experts',
  'second lowest',
  'second highest',
  'without the sort',
];
console.log(`${adapter.info.description}; ${rounds} rounds\n\n| ${header.join(' | ')} |\n|${header.map(() => '---').join('|')}|`);
let wrong = 0;
for (const m of rows) {
  const xs = Float32Array.from({ length: m * K }, () => (noise() % 2001) / 1000 - 1);
  // Distinct experts for a token.
  const picked = Array.from({ length: m }, () => {
    const own = new Set();
    while (own.size < TOP) own.add(noise() % E);
    return [...own];
  });
  const list = Int32Array.from(picked.flat());
  const x = floats(xs, [m, K]);
  const idTensor = Tensor.from(device, list, { shape: [m, TOP], dtype: 'int32' });
  const y = floats(new Float32Array(m * TOP * N), [m, TOP, N]);
  const sorted = sortPairs(idTensor, E);
  await experts.prepare([m], TOP);
  const own = [...layers.keys()].flatMap((e) => {
    const pairs = [...list.keys()].filter((p) => list[p] === e);
    if (pairs.length === 0) return [];
    const mine = new Float32Array(pairs.length * K);
    pairs.forEach((p, i) => {
      const row = Math.floor(p / TOP);
      mine.set(xs.subarray(row * K, (row + 1) * K), i * K);
    });
    return [{ layer: layers[e], pairs, x: floats(mine, [pairs.length, K]), y: empty(pairs.length) }];
  });
  for (const { layer, pairs } of own) await layer.prepare([pairs.length]);
  const ways = {
    loop: (pass) => {
      for (const one of own) one.layer.encode(pass, one.x, one.y);
    },
    all: (pass) => encodeExperts(pass, experts, x, y, { ids: idTensor }),
    sorted: (pass) => encodeExperts(pass, experts, x, y, { sorted }),
  };
  for (const encode of Object.values(ways)) await time(encode, 1);
  const got = await y.read();
  for (const { pairs, y: theirs } of own) {
    const want = await theirs.read();
    pairs.forEach((p, i) => {
      for (let n = 0; n < N; n++) if (got[p * N + n] !== want[i * N + n]) wrong++;
    });
  }
  const count = Math.max(1, Math.round(100 / Math.max(await time(ways.loop, 1), 0.2)));
  const ratios = { all: [], sorted: [] };
  for (let round = 0; round < rounds; round++) {
    const spent = {};
    const order = Object.keys(ways);
    for (const name of round % 2 ? order : order.reverse()) spent[name] = await time(ways[name], count);
    for (const name of Object.keys(ratios)) ratios[name].push(spent.loop / spent[name]);
  }
  const all = [...ratios.all].sort((a, b) => a - b);
  const { kernel, params } = experts.explain(m, TOP);
  const tile = ['ROWS', 'LANES', 'LOADS'].filter((name) => params[name]).map((name) => `${name} ${params[name]}`);
  const figures = [median(all), all[Math.min(1, rounds - 1)], all[Math.max(0, rounds - 2)], median(ratios.sorted)].map((r) => r.toFixed(2));
  console.log(`| ${[m, own.length, kernel, tile.join(' '), ...figures].join(' | ')} |`);
}
if (wrong > 0) console.error(`${wrong} numbers differ from those of the loop`);
process.exit(wrong > 0 ? 1 : 0);
