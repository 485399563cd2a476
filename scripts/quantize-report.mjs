// Compares the quantizers on weights and inputs from fixed seeds: node scripts/quantize-report.mjs
//
// Weights (512, 1024): normal, one in 500 five times as large. Inputs: 128 directions mixed into 1024 inputs, plus noise; every 32nd input
// is ten times as large. `search` looks for an inputScale. Quantizers get 2048 rows; outputs are compared on 512 other rows. `node scripts/quantize-report.mjs --speed`
// quantizes (4096, 4096) instead and prints seconds; `--speed --gptq` adds a Hessian and takes minutes.
import { runnerImport } from 'vite';
import { root } from './setup.mjs';

const load = async (path) => (await runnerImport(path, { root, configFile: false, logLevel: 'error' })).module;
const { quantize } = await load('/src/quantize/quantize.ts');
const { dequantize } = await load('/src/problem/matrix.ts');
const { correlated, normals } = await load('/test/support/normal-weights.ts');

const weightsOf = (n, k) => normals('weights', n * k).map((value, i) => 0.02 * value * (i % 500 === 77 ? 5 : 1));
const decibels = (signal, noise) => (10 * Math.log10(signal / noise)).toFixed(2);
const print = (cells, widths) => console.log(cells.map((cell, i) => String(cell)[i < 2 ? 'padEnd' : 'padStart'](widths[i])).join('  '));

if (process.argv.includes('--speed')) speed();
else report();
process.exit(0);

function report() {
  const [n, k, known, others] = [512, 1024, 2048, 512];
  const w = weightsOf(n, k);
  const all = correlated('inputs', known + others, k);
  const [x, unseen] = [all.subarray(0, known * k), all.slice(known * k)];
  const mean = (of) => Float32Array.from({ length: k }, (_, i) => rows(x, k).reduce((sum, row) => sum + of(row[i]), 0) / known);
  const meanSquare = mean((value) => value * value);
  const reference = outputs(unseen, w, k);
  const signal = reference.reduce((sum, value) => sum + value * value, 0);
  const forms = {
    'int4, groups of 128': { bits: 4, groupSize: 128 },
    'int4, groups of 128, symmetric': { bits: 4, groupSize: 128, symmetric: true },
    'int4, groups of 32': { bits: 4, groupSize: 32 },
    'int4, channels': { bits: 4, mode: 'channel' },
    'int8, channels, symmetric': { bits: 8, mode: 'channel', symmetric: true },
  };
  const methods = {
    minmax: { method: 'minmax' },
    mse: { method: 'mse' },
    'minmax, search': { method: 'minmax', activations: { meanSquare }, inputScale: 'search' },
    hqq: { method: 'hqq' },
    'mse, meanSquare': { method: 'mse', activations: { meanSquare } },
    'mse, meanSquare, search': { method: 'mse', activations: { meanSquare }, inputScale: 'search' },
    'minmax, x': { method: 'minmax', activations: { x } },
    'mse, x': { method: 'mse', activations: { x } },
    'hqq, x': { method: 'hqq', activations: { x } },
    'mse, x, search': { method: 'mse', activations: { x }, inputScale: 'search' },
  };
  const widths = [30, 24, 8, 12, 12, 8];
  print(['form', 'method', 'bits/w', 'weights dB', 'outputs dB', 'ms'], widths);
  for (const [form, options] of Object.entries(forms))
    for (const [name, method] of Object.entries(methods)) {
      if (options.symmetric && method.method === 'hqq') continue;
      const began = performance.now();
      const { matrix, report } = quantize(w, { n, k, ...options, ...method });
      const ms = performance.now() - began;
      const made = outputs(unseen, dequantize(matrix), k);
      const noise = made.reduce((sum, value, i) => sum + (value - reference[i]) ** 2, 0);
      print([form, name, report.bitsPerWeight.toFixed(3), report.sqnr.toFixed(2), decibels(signal, noise), ms.toFixed(0)], widths);
    }
}

function rows(x, k) {
  return Array.from({ length: x.length / k }, (_, row) => x.subarray(row * k, (row + 1) * k));
}

/** x·Wᵀ in double precision. */
function outputs(x, w, k) {
  const out = new Float64Array((x.length / k) * (w.length / k));
  let at = 0;
  for (const row of rows(x, k))
    for (const weights of rows(w, k)) {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += row[i] * weights[i];
      out[at++] = sum;
    }
  return out;
}

function speed() {
  const [n, k] = [4096, 4096];
  const w = weightsOf(n, k);
  const cases = [{ method: 'minmax' }, { method: 'minmax', symmetric: true }, { method: 'mse' }, { method: 'hqq' }];
  if (process.argv.includes('--gptq')) {
    const hessian = new Float32Array(k * k);
    for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) hessian[i * k + j] = 0.9 ** Math.abs(i - j);
    cases.push({ method: 'minmax', activations: { hessian } });
  }
  for (const options of cases) {
    const best = Array.from({ length: options.activations ? 1 : 3 }, () => {
      const began = performance.now();
      quantize(w, { n, k, bits: 4, groupSize: 128, ...options });
      return performance.now() - began;
    }).sort((a, b) => a - b)[0];
    const { activations, ...named } = options;
    console.log(`(${n}, ${k}) ${JSON.stringify(named)}${activations ? ' with a Hessian' : ''}: ${(best / 1000).toFixed(2)} s`);
  }
}
