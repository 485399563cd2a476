// The tables of src/kernels/ against their shaders, for every variant; and the variants against the planner.
import { describe, expect, test } from 'vitest';
import { ResourceType, WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import type { DType } from '../../src/dtype.js';
import { type Half, interleaveSteps } from '../../src/epilogues/interleave-steps.js';
import { UnsupportedError } from '../../src/errors.js';
import { costs } from '../../src/kernels/costs.js';
import { helperVariants } from '../../src/kernels/helper-variants.js';
import { allVariants, kernels, shaders } from '../../src/kernels/index.js';
import { type Feature, variantId } from '../../src/kernels/kernel.js';
import type { Dispatch } from '../../src/plan/dispatch.js';
import { expertLayout } from '../../src/plan/expert-layout.js';
import { loadSteps } from '../../src/plan/load-steps.js';
import { packedLayout } from '../../src/plan/packed-layout.js';
import { sortStep } from '../../src/plan/pair-steps.js';
import { pieceSteps, valuesOf } from '../../src/plan/piece-steps.js';
import { makePlan, type PlanContext } from '../../src/plan/plan.js';
import { quantizeSteps } from '../../src/plan/quantize-steps.js';
import { rowSteps } from '../../src/plan/row-steps.js';
import { quantizeAll } from '../../src/plan/x-steps.js';
import { BITS, CODE_BITS, wordsOf } from '../../src/problem/code-width.js';
import type { QuantizedMatrix } from '../../src/problem/matrix.js';
import type { Weights } from '../../src/problem/problem.js';
import type { RowScale } from '../../src/problem/row-scale.js';
import type { View } from '../../src/problem/view.js';
import { hasOneUnit, hasUnits, isFloatDtype, LEGAL_FORMATS } from '../../src/problem/weight-format.js';
import { checkForm } from '../../src/quantize/options.js';
import { preprocess } from '../../src/wgsl/preprocess.js';
import { sources } from '../../src/wgsl/sources.js';
import { shownVariants } from '../cases/variants.js';
import { GPU, LAVAPIPE, LEAST, MATRIX_GPU, type ProblemSpec, problemOf, readable, SWIFTSHADER, variantText } from '../support/problems.js';

const variants = shownVariants();
const ids = allVariants().map(({ shader, params }) => variantId(shader.name, params));
const known = new Set(ids);

test('no two variants have the same name', () => {
  const seen = new Set<string>();
  expect(ids.filter((id) => seen.size === seen.add(id).size)).toEqual([]);
  expect(variantId('a', { B: 1, A: 2 })).toBe('a[A=2,B=1]'); // whatever the order in which params were written down
});

/** By the words of `enable`. */
const FEATURES: Readonly<Record<string, Feature>> = {
  f16: 'shader-f16',
  subgroups: 'subgroups',
  chromium_experimental_subgroup_matrix: 'chromium-experimental-subgroup-matrix',
};

describe('bindings, features and Params of every variant shown', () => {
  test.each([...shaders.keys()])('%s', (name) => {
    const mine = variants.filter(({ shader }) => shader.name === name);
    expect(mine.length).toBeGreaterThan(0);
    for (const { shader, params } of mine) {
      const id = variantId(name, params);
      const { code } = variantText(name, params);
      const needed = kernels.find((kernel) => kernel.name === name)?.needs?.(params) ?? [];
      const enabled = [...code.matchAll(/^enable (\w+);/gm)].map(([, extension]) => FEATURES[extension!]);
      // Where x comes as halves every text enables them.
      expect(new Set([...enabled, 'shader-f16']), id).toEqual(new Set([...needed, 'shader-f16']));
      if (needed.includes('shader-f16')) expect(enabled, id).toContain('shader-f16');
      const reflected = new WgslReflect(readable(code));
      const access = (type: ResourceType, declared: string): string =>
        type === ResourceType.Uniform ? 'uniform' : type === ResourceType.Storage ? (declared === 'read_write' ? 'write' : declared) : '?';
      const found = [...reflected.uniforms, ...reflected.storage, ...reflected.textures, ...reflected.samplers].map((variable) => ({
        name: variable.name,
        group: variable.group,
        binding: variable.binding,
        access: access(variable.resourceType, variable.access),
      }));
      const wanted = shader.bindings
        .filter(({ when }) => when?.(params) ?? true)
        .map((binding) => ({ name: binding.name, group: 0, binding: binding.binding, access: binding.access }));
      expect(
        found.sort((a, b) => a.binding - b.binding),
        id,
      ).toEqual(wanted);
      const members = reflected.uniforms[0]!.members!.map((member) => [member.name, member.type.name, member.offset]);
      expect(members, id).toEqual(shader.uniforms.map((uniform, i) => [uniform, 'u32', 4 * i]));
      expect(
        reflected.entry.compute.map((entry) => entry.name),
        id,
      ).toEqual(['main']);
    }
  });
});

test('every file of shaders/ is part of some variant shown', () => {
  const used = new Set(variants.flatMap(({ shader, params }) => variantText(shader.name, params).places.map(({ file }) => file)));
  expect(Object.keys(sources).filter((file) => !used.has(file))).toEqual([]);
  expect([...shaders.keys()].map((name) => `${name}.wgsl`).sort()).toEqual(
    Object.keys(sources)
      .filter((file) => !file.includes('/'))
      .sort(),
  );
});

test('every legal value of every #param is used by some variant shown', () => {
  const used = new Map<string, Set<string>>(); // by file, of all the shaders that include it
  for (const { shader, params } of variants) {
    for (const { file } of variantText(shader.name, params).places) {
      const pairs = used.get(file) ?? new Set();
      used.set(file, pairs);
      for (const [name, value] of Object.entries(params)) pairs.add(`${name}=${value}`);
    }
  }
  const declared = Object.entries(sources).flatMap(([file, text]) =>
    [...text.matchAll(/^#param (\w+) ([\d ]+)/gm)].flatMap(([, name, values]) =>
      values!
        .trim()
        .split(' ')
        .map((value) => [file, `${name}=${value}`] as const),
    ),
  );
  expect(declared.length).toBeGreaterThan(30);
  expect(declared.filter(([file, pair]) => !used.get(file)?.has(pair)).map((found) => found.join(': '))).toEqual([]);
});

test('an #if that asks for one of several values has them all, and a last #else that is an #error', () => {
  // A param of two values may say one and mean the other by #else, but a width of today is one of several tomorrow.
  const declared = Object.values(sources).flatMap((text) => [...text.matchAll(/^#param (\w+) ([\d ]+)/gm)]);
  const wide = declared.filter(([, name, values]) => values!.trim().split(' ').length > 2 || ['BITS', 'READ', 'WIDTH'].includes(name!));
  const several = [...new Set(wide.map(([, name]) => name!))];
  expect(several).toEqual(expect.arrayContaining(['BITS', 'READ', 'WIDTH', 'X', 'Y', 'SCALE', 'OFFSET', 'SOURCE', 'W', 'NZ']));
  const asks = new RegExp(`\\b(${several.join('|')}) *[=!]=`);
  const faults: string[] = [];
  let asked = 0;
  for (const [file, text] of Object.entries(sources)) {
    const lines = text.split('\n');
    const open: boolean[] = []; // does the chain ask for such a value?
    for (const [i, line] of lines.entries()) {
      if (/^\s*#if\b/.test(line)) open.push(asks.test(line));
      if (/^\s*#elif\b/.test(line)) open.push(open.pop()! || asks.test(line));
      if (/^\s*#endif\b/.test(line)) open.pop();
      if (!/^\s*#else\b/.test(line) || !open.at(-1)) continue;
      asked++;
      if (!/^\s*#error\b/.test(lines[i + 1]!)) faults.push(`shaders/${file}:${i + 1}`);
    }
  }
  expect(faults).toEqual([]);
  expect(asked).toBeGreaterThan(20);
});

test('codes of a width that no kernel knows are refused', () => {
  for (const { shader, params } of variants)
    if (params.BITS !== undefined && shader.name !== 'quantize-weights')
      expect(() => preprocess(sources, `${shader.name}.wgsl`, { ...params, BITS: 7 })).toThrow(/BITS must be one of 2 3 4 5 6 8, got 7/);
});

test('every tile says what a round of its inner loop does', () => {
  expect(Object.keys(costs).sort()).toEqual(kernels.map(({ name }) => name).sort());
  for (const { name, tiles } of kernels)
    for (const tile of tiles)
      for (const BITS of CODE_BITS) {
        const said = costs[name]!({ BITS, READ: 4, ...tile });
        for (const [what, value] of Object.entries(said)) expect(value, `${variantId(name, tile)} ${what}`).toBeGreaterThan(0);
        expect(Object.values(said).every(Number.isInteger), variantId(name, tile)).toBe(true);
      }
});

/** What a kernel would run, asked for by name; nothing where the device has not what it takes. */
function forced(context: PlanContext, kernel: string): readonly Dispatch[] {
  try {
    return makePlan(context, { force: { kernel } }).dispatches;
  } catch (error) {
    if (error instanceof UnsupportedError) return [];
    throw error;
  }
}

/** A matrix of zeros that is held so. */
function matrixOf({ n, k, bits, groupSize, scaleDtype, shift, codebook }: Weights): QuantizedMatrix {
  const groups = n * Math.ceil(k / groupSize);
  const narrow = !isFloatDtype(scaleDtype);
  const units = () => new Float32Array(hasOneUnit(scaleDtype) ? n : n * Math.ceil(k / 256));
  return {
    ...{ n, k, bits, groupSize },
    codes: new Uint32Array(n * wordsOf(k, bits)),
    scale: new Float32Array(groups).fill(scaleDtype === 'e8m0' ? 1 : 0),
    scaleDtype: narrow ? 'float32' : scaleDtype,
    ...(narrow && {
      scaleForm: {
        kind: scaleDtype,
        ...((hasUnits(scaleDtype) || hasOneUnit(scaleDtype)) && { unit: units() }),
        ...(shift === 'minimum' && { minimumUnit: units() }),
      },
    }),
    ...(shift === 'minimum' && { minimum: new Float32Array(groups) }),
    ...(['offset', 'zero', 'zero8'].includes(shift) && { zeroPoint: new Float32Array(groups) }),
    ...(codebook === 'e4m3' ? { codeForm: codebook } : codebook !== 'none' && { codebook: new Float32Array(16) }),
  };
}

/** With a factor for each row, in x's buffer and in another. */
function scaled({ problem, ...context }: PlanContext, of: RowScale['of'] | undefined): readonly Dispatch[] {
  if (!of) return makePlan({ ...context, problem: { ...problem, inputScale: 8 } }).dispatches;
  const squares = { pitch: 8, width: 8, epsilon: 1e-5 };
  return [false, true].flatMap((beside) => {
    const place = { beside, offset: 4, by: 'rows' } as const;
    const rowScale: RowScale = of === 'rms' ? { ...place, of, ...squares } : { ...place, of };
    return [undefined, 8].flatMap((inputScale) => makePlan({ ...context, problem: { ...problem, rowScale, inputScale } }).dispatches);
  });
}

/** Its columns as those of gate and up, and how they come together. */
function gated({ problem, packed, caps }: PlanContext): readonly Dispatch[] {
  const { n } = problem.weights;
  const weights = { ...problem.weights, glu: 'silu' as const };
  const halves = [0, n / 2].map((begin) => ({ packed, n, begin, count: n / 2 })) as [Half, Half];
  const plan = makePlan({ problem: { ...problem, weights, yPitch: n / 2 }, packed, caps });
  return [...interleaveSteps(halves, { weights, packed }, caps), ...plan.dispatches];
}

describe('what planning and loading ask for', () => {
  const DTYPES = ['float32', 'float16', 'bfloat16'] as const;
  const capsList = [GPU, MATRIX_GPU, { ...GPU, subgroups: false }, { ...GPU, maxSubgroupSize: 128 }, LEAST, SWIFTSHADER, LAVAPIPE];
  const specs: ProblemSpec[] = [];
  for (const dtype of DTYPES)
    for (const bits of BITS)
      for (const offset of [false, true])
        for (const [n, quant, packedScale] of [
          [64, false, false],
          [64, true, false],
          [63, false, false],
          [63, true, false],
          [64, false, true],
          [63, false, true],
        ] as const)
          for (const group of [0, 32]) {
            if (packedScale && (dtype !== 'float16' || bits !== 8 || group > 0)) continue;
            for (const k of [64, 72, 67])
              for (const m of [1, 2, 3, 17, 40]) specs.push({ m, n, k, bits, dtype, group, offset, quant, packedScale });
          }
  // What imported weights are besides: scales of another dtype than x, minima, codebooks, groups of fewer k, inputs in another order.
  const imported: ProblemSpec[] = [];
  const rounded: ProblemSpec[] = [];
  for (const dtype of DTYPES)
    for (const scaleDtype of DTYPES)
      for (const meaning of [
        {},
        { offset: true },
        { minimum: true },
        { codebook: 'table' },
        { codebook: 'e2m1' },
        { codebook: 'e4m3' },
      ] as const)
        for (const bits of 'codebook' in meaning ? ([meaning.codebook === 'e4m3' ? 8 : 4] as const) : BITS)
          for (const [n, quant] of [
            [64, false],
            [64, true],
            [63, false],
          ] as const)
            for (const [k, m, permuted] of [
              [64, 1, false],
              [64, 40, true],
              [67, 3, false],
            ] as const)
              imported.push({
                m,
                n,
                k,
                bits,
                dtype,
                scaleDtype,
                ...meaning,
                quant,
                permuted,
                inputScaled: m === 3 || (permuted && quant),
                group: 16,
              });
  // Rounded weights have the operands of others, each with ROUND.
  for (const spec of [...specs, ...imported]) {
    if (spec.dtype !== 'float32' && spec.m < 4) rounded.push({ ...spec, rounded: true });
  }
  const dispatches: Dispatch[] = [];
  for (const spec of rounded) {
    const { problem, operands } = problemOf(spec);
    for (const caps of [GPU, LEAST]) {
      const packed = packedLayout(operands, caps);
      for (const { name } of kernels.filter(({ rounds }) => rounds)) dispatches.push(...forced({ problem, packed, caps }, name));
    }
  }
  // Every format of weights, in groups of half a block and of a whole one.
  const held = LEGAL_FORMATS.flatMap((format) =>
    DTYPES.flatMap((dtype) =>
      [16, 32].flatMap((group) =>
        [false, true].flatMap((quant) =>
          [false, true].flatMap((permuted) =>
            [3, 260].map(
              (n): ProblemSpec => ({ ...{ m: 1, k: 256, n, dtype, group, quant, permuted }, format: { ...format, bits: format.held } }),
            ),
          ),
        ),
      ),
    ),
  );
  for (const spec of held) {
    const { problem, operands } = problemOf(spec);
    for (const caps of [GPU, { ...GPU, f16: false }, LAVAPIPE]) {
      const packed = packedLayout(operands, caps);
      dispatches.push(...makePlan({ problem, packed, caps }).dispatches, ...forced({ problem, packed, caps }, 'matmul-plain'));
      if (problem.yDtype === 'float32' || spec.n === 260)
        for (const digits of [1, 2] as const) dispatches.push(...quantizeAll({ problem, caps }, digits).dispatches);
      for (const round of ['float16', 'bfloat16'] as const)
        if (round === problem.xDtype)
          for (const name of ['matmul-plain', 'matmul-tiled'])
            dispatches.push(...forced({ problem: { ...problem, weightDtype: round }, packed, caps }, name));
    }
    const weights = { ...operands, n: spec.n };
    const matrix = matrixOf(weights);
    const packed = packedLayout(weights, GPU);
    const piece = { piece: matrix, values: valuesOf(matrix, weights), corner: { n: 0, k: 0 }, weights, caps: GPU };
    dispatches.push(...pieceSteps(piece, packed));
    if (spec.group === 32)
      for (const inputScaled of [false, true]) {
        const asked = { m: 3, ids: 1, y: 2, yDtype: problem.xDtype };
        dispatches.push(...rowSteps({ weights: { ...weights, inputScaled }, packed, caps: GPU }, asked));
      }
  }
  // The best of each row in place of y.
  for (const spec of specs.filter(({ quant, bits }) => !quant && bits === 4)) {
    const { problem, operands } = problemOf(spec);
    const best = { columns: spec.n - 1, ids: 1, values: 2 };
    for (const caps of [GPU, LAVAPIPE])
      dispatches.push(
        ...makePlan({ problem: { ...problem, yDtype: 'float32', best }, packed: packedLayout(operands, caps), caps }).dispatches,
      );
  }
  // Pairs of rows and experts: each a row of y, or summed.
  for (const spec of specs.filter(({ quant, bits }) => !quant && bits === 4)) {
    const { problem, operands } = problemOf(spec);
    const experts = { count: 4, perRow: 2, ids: 1 };
    const summed = { top: 2, weights: 3, by: 'rows' } as const;
    for (const caps of [GPU, LAVAPIPE])
      for (const asked of [experts, { ...experts, summed }])
        for (const m of [1, 3]) {
          const { packed } = expertLayout(operands, 4, caps);
          dispatches.push(...makePlan({ problem: { ...problem, m, experts: asked }, packed, caps }).dispatches);
        }
  }
  for (const spec of imported) {
    const { problem, operands } = problemOf(spec);
    for (const caps of [GPU, LEAST, SWIFTSHADER, LAVAPIPE]) {
      const packed = packedLayout(operands, caps);
      const plan = makePlan({ problem, packed, caps });
      if (plan.kernel === 'matmul-plain') throw new Error(`only matmul-plain runs ${JSON.stringify(spec)}`);
      dispatches.push(...plan.dispatches);
      for (const { name } of kernels) dispatches.push(...forced({ problem, packed, caps }, name));
      for (const of of ['rms', 'factors', undefined] as const) dispatches.push(...scaled({ problem, packed, caps }, of));
      dispatches.push(...forced({ problem: { ...problem, innerPrecise: 1 }, packed, caps }, 'matmul-dot4'));
    }
  }
  for (const spec of specs) {
    const { problem, operands } = problemOf(spec);
    for (const caps of capsList) {
      const packed = packedLayout(operands, caps);
      dispatches.push(...makePlan({ problem, packed, caps }).dispatches);
      for (const { name } of kernels) dispatches.push(...forced({ problem, packed, caps }, name));
      const fast = { ...problem, innerPrecise: 1 };
      dispatches.push(...makePlan({ problem: fast, packed, caps }).dispatches, ...forced({ problem: fast, packed, caps }, 'matmul-dot4'));
      for (const digits of [1, 2] as const) {
        dispatches.push(...makePlan({ problem: { ...problem, xDigits: digits }, packed, caps }).dispatches);
        dispatches.push(...quantizeAll({ problem, caps }, digits).dispatches);
      }
      for (const of of ['rms', 'factors', undefined] as const) dispatches.push(...scaled({ problem, packed, caps }, of));
      if (!spec.quant && spec.n % 4 === 0) dispatches.push(...gated({ problem, packed, caps }));
    }
  }

  const view = (dtype: DType): View => ({ shape: [1], strides: [1], dtype, format: 'ND', offset: 0 });
  for (const { dtype = 'float32', ...spec } of specs) {
    const { operands } = problemOf({ ...spec, dtype });
    for (const nz of [0, 1, 2] as const)
      for (const biasDtype of dtype === 'bfloat16' ? (['float32', dtype] as const) : [dtype])
        for (const packed of [false, true]) {
          const loaded = {
            ...operands,
            weight: { ...operands.weight, nz },
            biased: true,
            bias: { dtype: biasDtype, strideG: 0, strideN: 1 },
            quant: spec.quant ? { packed, stride: 1 as const, offset: !packed && spec.offset === true } : undefined,
          };
          const views = {
            weight: view('int8'),
            antiquantScale: view(dtype),
            antiquantOffset: view(dtype),
            bias: view(biasDtype),
            quantScale: view(packed ? 'int64' : 'float32'),
            quantOffset: view('float32'),
          };
          dispatches.push(...loadSteps({ operands: loaded, packed: packedLayout(loaded, GPU), caps: GPU }, views));
        }
  }

  for (const bits of BITS)
    for (const symmetric of [false, true])
      for (const dtype of DTYPES)
        for (const sums of [false, true])
          dispatches.push(...quantizeSteps(GPU, checkForm({ n: 3, k: 40, bits, symmetric }), { dtype, first: 0, sums }));

  dispatches.push(sortStep(GPU, { pairs: 6, experts: 4, ids: 3 }));

  test('is always one of allVariants()', () => {
    const asked = new Set(dispatches.map((step) => variantId(step.shader, step.params)));
    expect([...asked].filter((id) => !known.has(id))).toEqual([]);
    expect(asked.size).toBeGreaterThan(200);
  });

  test('binds exactly what the shader has, and gives every uniform a whole number', () => {
    const faults = new Set<string>();
    for (const step of dispatches) {
      const shader = shaders.get(step.shader)!;
      const id = variantId(step.shader, step.params);
      const wanted = shader.bindings
        .filter(({ access, when }) => access !== 'uniform' && (when?.(step.params) ?? true))
        .map(({ name }) => name);
      const bound = Object.keys(step.bindings);
      if (bound.sort().join() !== wanted.sort().join()) faults.add(`${id} binds ${bound}, has ${wanted}`);
      const given = Object.keys(step.uniforms);
      if (given.sort().join() !== [...shader.uniforms].sort().join()) faults.add(`${id} is given ${given}, has ${shader.uniforms}`);
      for (const [name, value] of Object.entries(step.uniforms)) if (!Number.isInteger(value)) faults.add(`${id}: ${name} is ${value}`);
    }
    expect([...faults]).toEqual([]);
  });

  // A helper variant that nothing asks for is dead code, and one that no test on a GPU can reach.
  test('reaches every variant of the helpers', () => {
    const asked = new Set(dispatches.map((step) => variantId(step.shader, step.params)));
    const all = Object.entries(helperVariants).flatMap(([name, list]) => list.map((params) => variantId(name, params)));
    expect(all.filter((id) => !asked.has(id))).toEqual([]);
  });

  test('reaches every combination of operands', () => {
    const operands = (params: Dispatch['params']): string =>
      ['BITS', 'X', 'SCALE', 'OFFSET', 'CODEBOOK', 'ROUND', 'Y'].map((name) => `${name}=${params[name]}`).join(' ');
    const isKernel = (name: string): boolean => kernels.some((kernel) => kernel.name === name);
    const asked = new Set(dispatches.filter((step) => isKernel(step.shader)).map((step) => operands(step.params)));
    const all = new Set(variants.filter(({ shader }) => isKernel(shader.name)).map(({ params }) => operands(params)));
    expect([...all].filter((id) => !asked.has(id))).toEqual([]);
  });
});
