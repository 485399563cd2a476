// Trains the small model whose hidden layer the page's operator panel multiplies with, and writes it to demo/panels/operator/jobs/model.bin and
// .json: node scripts/train-demo-model.mjs (some two minutes). It guesses the next character of this project's own documents from the 16
// before it: characters → 16 numbers each → 256 → the hidden layer (256, 256), whose weights and inputs the page shows → ReLU → characters.
// Plain stochastic descent by Adam in float32 from a fixed seed; a run on the same documents writes the same bytes.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const [CONTEXT, WIDTH, HIDDEN, BATCH, STEPS, RATE] = [16, 16, 256, 64, 2500, 2e-3];
const K = CONTEXT * WIDTH;

const names = [
  'README.md',
  'ARCHITECTURE.md',
  'shaders/README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((n) => n.endsWith('.md'))
    .sort()
    .map((n) => `docs/${n}`),
];
const all = names
  .map((name) => readFileSync(join(root, name), 'utf8'))
  .join('\n')
  .replace(/[^\n -~]/g, '?');
const characters = [...new Set(all)].sort().join('');
const V = characters.length;
const codes = Uint8Array.from(all, (one) => characters.indexOf(one));
// A tenth is kept from the model: its loss there is what is written, and the page's inputs come from it.
const cut = Math.floor(codes.length * 0.9);

let state = 2026;
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const parameter = (length, size) => ({
  value: Float32Array.from({ length }, () => size * normal()),
  slope: new Float32Array(length),
  mean: new Float32Array(length),
  square: new Float32Array(length),
});
const embedding = parameter(V * WIDTH, 0.5);
const hidden = parameter(HIDDEN * K, Math.sqrt(2 / K) / 0.7);
const hiddenBias = parameter(HIDDEN, 0);
const output = parameter(V * HIDDEN, Math.sqrt(1 / HIDDEN));
const outputBias = parameter(V, 0);
const parameters = [embedding, hidden, hiddenBias, output, outputBias];

const x = new Float32Array(K);
const dx = new Float32Array(K);
const h = new Float32Array(HIDDEN);
const dh = new Float32Array(HIDDEN);
const p = new Float32Array(V);

/** Loss of guessing the character at `at`, in nats; adds to the slopes if it is to learn. */
function guess(at, learn) {
  for (let c = 0; c < CONTEXT; c++) {
    const from = codes[at - CONTEXT + c] * WIDTH;
    for (let d = 0; d < WIDTH; d++) x[c * WIDTH + d] = embedding.value[from + d];
  }
  for (let n = 0; n < HIDDEN; n++) {
    let sum = hiddenBias.value[n];
    for (let k = 0, w = n * K; k < K; k++) sum += hidden.value[w + k] * x[k];
    h[n] = sum > 0 ? sum : 0;
  }
  let largest = -Infinity;
  for (let v = 0; v < V; v++) {
    let sum = outputBias.value[v];
    for (let n = 0, w = v * HIDDEN; n < HIDDEN; n++) sum += output.value[w + n] * h[n];
    p[v] = sum;
    if (sum > largest) largest = sum;
  }
  let total = 0;
  for (let v = 0; v < V; v++) total += p[v] = Math.exp(p[v] - largest);
  for (let v = 0; v < V; v++) p[v] /= total;
  const right = codes[at];
  const loss = -Math.log(p[right]);
  if (!learn) return loss;
  p[right] -= 1;
  dh.fill(0);
  for (let v = 0; v < V; v++) {
    const slope = p[v] / BATCH;
    outputBias.slope[v] += slope;
    for (let n = 0, w = v * HIDDEN; n < HIDDEN; n++) {
      dh[n] += slope * output.value[w + n];
      output.slope[w + n] += slope * h[n];
    }
  }
  dx.fill(0);
  for (let n = 0; n < HIDDEN; n++) {
    if (h[n] === 0) continue;
    const slope = dh[n];
    hiddenBias.slope[n] += slope;
    for (let k = 0, w = n * K; k < K; k++) {
      dx[k] += slope * hidden.value[w + k];
      hidden.slope[w + k] += slope * x[k];
    }
  }
  for (let c = 0; c < CONTEXT; c++) {
    const to = codes[at - CONTEXT + c] * WIDTH;
    for (let d = 0; d < WIDTH; d++) embedding.slope[to + d] += dx[c * WIDTH + d];
  }
  return loss;
}

let running = Math.log(V);
for (let step = 1; step <= STEPS; step++) {
  for (let i = 0; i < BATCH; i++) running += (guess(CONTEXT + Math.floor(random() * (cut - CONTEXT)), true) - running) / 2000;
  const rate = RATE * Math.min(1, step / 100) * (0.5 + 0.5 * Math.cos((Math.PI * step) / STEPS));
  const [fix1, fix2] = [1 - 0.9 ** step, 1 - 0.999 ** step];
  for (const { value, slope, mean, square } of parameters)
    for (let i = 0; i < value.length; i++) {
      const g = slope[i];
      mean[i] += 0.1 * (g - mean[i]);
      square[i] += 0.001 * (g * g - square[i]);
      value[i] -= rate * (mean[i] / fix1 / (Math.sqrt(square[i] / fix2) + 1e-8) + 0.05 * value[i]);
      slope[i] = 0;
    }
  if (step % 500 === 0) console.log(`step ${step}: ${(running / Math.LN2).toFixed(3)} bits a character`);
}
let loss = 0;
for (let at = cut + CONTEXT; at < codes.length; at++) loss += guess(at, false);
loss /= codes.length - cut - CONTEXT;

/** The bits of the nearest float16 of a number that is not too large for one. */
const half = (value) => {
  const size = Math.abs(value);
  const unit = 2 ** (Math.max(-14, Math.floor(Math.log2(size || 1))) - 10);
  const rounded = Math.round(size / unit); // ties are not met by chance
  const exponent = Math.round(Math.log2(unit)) + 25;
  const bits = rounded >= 1024 ? (exponent << 10) + rounded - 1024 : rounded;
  return (value < 0 ? 0x8000 : 0) | bits;
};
const written = [embedding, hidden, hiddenBias].map(({ value }) => value);
const bits = Uint16Array.from(
  written.flatMap((values) => [...values]),
  half,
);
const text = all.slice(cut, cut + 4096 + CONTEXT);
writeFileSync(join(root, 'demo/panels/operator/jobs/model.bin'), new Uint8Array(bits.buffer));
writeFileSync(
  join(root, 'demo/panels/operator/jobs/model.json'),
  `${JSON.stringify({ characters, context: CONTEXT, width: WIDTH, hidden: HIDDEN, bits: Number((loss / Math.LN2).toFixed(2)), text }, null, 2)}\n`,
);
console.log(`${V} characters, ${codes.length} in all; ${(loss / Math.LN2).toFixed(3)} bits a character where it did not learn`);
