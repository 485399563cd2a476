// Executes plans and loads on tags instead of numbers: a tag names the element that a dispatch reads or writes. Plain loops model the
// shaders' use of their uniforms. It throws if an access leaves its binding or hits a wrong element.

import { BYTES, wholeWords } from '../../src/dtype.js';
import { kernels } from '../../src/kernels/index.js';
import type { Extent } from '../../src/kernels/kernel.js';
import type { Dispatch } from '../../src/plan/dispatch.js';
import type { Views } from '../../src/plan/load-steps.js';
import { type Packed, slicesOf } from '../../src/plan/packed-layout.js';
import type { Plan, PlanContext } from '../../src/plan/plan.js';
import type { Caps } from '../../src/problem/caps.js';
import type { ColumnView, Operands, Problem, Weights } from '../../src/problem/problem.js';
import { blocksOf, blockWords, type Digits, pitchWords } from '../../src/problem/x-codes.js';

/** Bytes of each of a layer's buffers. */
export const sizesOf = (weights: Weights, packed: Packed): Record<string, number> =>
  Object.fromEntries(slicesOf(weights, packed).map(({ buffer, offset, size }) => [buffer, offset + size]));

function must(condition: boolean, text: string): asserts condition {
  if (!condition) throw new Error(text);
}

/** Every binding is aligned, within the limits and within its buffer; every uniform is a whole number. */
export function checkBindings(step: Dispatch, caps: Caps, sizes: Readonly<Record<string, number>>): void {
  for (const [name, { buffer, offset, size }] of Object.entries(step.bindings)) {
    const what = `${step.shader} ${name}: bytes ${offset} + ${size} of ${buffer} (${sizes[buffer]})`;
    must(sizes[buffer] !== undefined, `${what}: no such buffer`);
    must(offset % caps.minStorageBufferOffsetAlignment === 0, `${what}: not aligned`);
    must(size >= 4 && size % 4 === 0, `${what}: not whole words`);
    must(size <= caps.maxStorageBufferBindingSize, `${what}: above maxStorageBufferBindingSize ${caps.maxStorageBufferBindingSize}`);
    must(offset + size <= sizes[buffer], `${what}: beyond its end`);
  }
  for (const [name, value] of Object.entries(step.uniforms)) must(Number.isInteger(value), `${step.shader}: ${name} is ${value}`);
  for (const count of step.workgroups) {
    must(count >= 1 && count <= caps.maxComputeWorkgroupsPerDimension, `${step.shader}: ${count} workgroups`);
  }
}

/** The element's index in the whole buffer, from its index in a binding of elements of `bits` bits. */
function absolute(step: Dispatch, binding: string, index: number, bits: number): number {
  const { offset, size } = step.bindings[binding]!;
  must(Number.isInteger(index), `${step.shader} ${binding}: element ${index}`);
  must(index >= 0 && (index + 1) * bits <= 8 * size, `${step.shader} ${binding}: element ${index} is outside ${size} bytes`);
  return index + (8 * offset) / bits;
}

const invocations = (step: Dispatch): number => step.workgroups[0] * step.workgroups[1] * 64;

/** Writes each element of a buffer at most once. */
class Tags {
  readonly #tags = new Map<number, string>();
  constructor(readonly what: string) {}
  put(index: number, tag: string): void {
    must(!this.#tags.has(index), `${this.what} ${index}: written twice`);
    this.#tags.set(index, tag);
  }
  get = (index: number): string | undefined => this.#tags.get(index);
  clear(): void {
    this.#tags.clear();
  }
  get size(): number {
    return this.#tags.size;
  }
}

/** Where x[m, k] lies. */
const indexOfX = ({ x }: Problem, m: number, k: number): number =>
  x.offset + Math.floor(m / x.batchRows) * x.strideB + (m % x.batchRows) * x.strideM + k * x.strideK;

/** Which input column k of the codes is for, in the simulation. */
const inputOf = ({ weights: { k, permuted } }: Problem, column: number): number => (permuted ? k - 1 - column : column);

/** Runs a plan; throws unless every element of y is the product of its row and its column, written once. */
export function runPlan({ problem, packed, caps }: PlanContext, plan: Plan): void {
  const { m, weights } = problem;
  const { n, k, bits } = weights;
  const codes = 32 / bits;
  const xBits = 8 * BYTES[problem.xDtype];
  const yBits = 8 * BYTES[problem.yDtype];
  const sizes: Record<string, number> = { ...sizesOf(weights, packed), ...plan.scratch };
  const xTags = new Map<number, string>();
  for (let i = 0; i < m; i++) for (let j = 0; j < k; j++) xTags.set(indexOfX(problem, i, j), `${i},${j}`);
  sizes.x = wholeWords((Math.max(...xTags.keys()) + 1) * BYTES[problem.xDtype]);
  sizes.y = wholeWords((problem.yOffset + (m - 1) * problem.yPitch + n) * BYTES[problem.yDtype]);
  const codeBlocks = new Tags('blocks of codes'); // by their first byte
  const digits = (plan.params.DIGITS ?? 1) as Digits;
  const codesRow = 4 * pitchWords(k, digits); // bytes of a row of codes
  if (problem.xDigits) {
    sizes.xCodes = m * codesRow; // they came with x
    for (let i = 0; i < m; i++)
      for (let block = 0; block < blocksOf(k); block++) codeBlocks.put(i * codesRow + 4 * block * blockWords(digits), `${i},${block}`);
  }
  const rows = new Tags('rows');
  const sums = new Tags('sums');
  const y = new Tags('y');
  let before = '';
  /** Which element of x is at `index` of a step's x: in place, or gathered. */
  const tagOfX = (step: Dispatch, index: number): string | undefined => {
    const gathered = step.bindings.x!.buffer === 'rows';
    const at = absolute(step, 'x', index, gathered ? 32 : xBits);
    return gathered ? rows.get(at) : xTags.get(at);
  };

  for (const step of plan.dispatches) {
    checkBindings(step, caps, sizes);
    const u = step.uniforms;
    if (step.shader === 'gather-rows') {
      must((step.params.SCALED === 1) === weights.inputScaled, 'gather-rows: scaled inputs of another layer');
      if (before !== step.shader) rows.clear(); // a new chunk of rows
      must(invocations(step) >= u.m! * u.quads!, 'gather-rows: too few workgroups');
      for (let index = 0; index < u.m! * u.quads!; index++) {
        const i = Math.floor(index / u.quads!);
        const row = u.first_m! + i;
        const firstK = u.first_k! + 4 * (index % u.quads!);
        const at = u.base! + Math.floor(row / u.batch_rows!) * u.stride_b! + (row % u.batch_rows!) * u.stride_m!;
        for (let j = firstK; j < firstK + 4; j++) {
          const source = step.params.PERM === 1 ? inputOf(problem, j) : j;
          if (step.params.PERM === 1 && j < u.k!) absolute(step, 'permutation', j, 32);
          if (step.params.SCALED === 1 && j < u.k!) absolute(step, 'input_scale', source, 32);
          const tag = j >= u.k! ? '0' : xTags.get(absolute(step, 'x', at + source * u.stride_k!, xBits));
          must(tag !== undefined, 'gather-rows reads what is not x');
          const out = 4 * (u.rows_base! + i * u.pitch! + Math.floor(j / 4)) + (j % 4);
          rows.put(absolute(step, 'rows', out, 32), tag);
        }
      }
    } else if (step.shader === 'quantize-rows') {
      must(!problem.xDigits, 'quantize-rows: x came quantized');
      must(step.params.DIGITS === digits && step.params.BITS === bits, 'quantize-rows: codes for another kernel');
      must(u.blocks === blocksOf(k) && invocations(step) >= u.m! * u.blocks, 'quantize-rows: too few workgroups');
      codeBlocks.clear(); // a new chunk of rows
      for (let i = 0; i < u.m!; i++)
        for (let block = 0; block < u.blocks; block++) {
          const owners = new Set<string>();
          for (let j = 32 * block; j < Math.min(32 * (block + 1), 4 * u.x_pitch!); j++) {
            const tag = tagOfX(step, 4 * (u.x_base! + i * u.x_pitch!) + j);
            must(j < k ? tag?.split(',')[1] === String(inputOf(problem, j)) : tag === '0', `quantize-rows reads '${tag}' for k ${j}`);
            if (j < k) owners.add(tag!.split(',')[0]!);
          }
          must(owners.size === 1, 'quantize-rows: a block of several rows');
          const at = i * codesRow + 4 * block * blockWords(digits);
          must(at + 4 * blockWords(digits) <= step.bindings.codes!.size, 'quantize-rows: a block beyond the binding');
          codeBlocks.put(step.bindings.codes!.offset + at, `${[...owners][0]},${block}`);
        }
    } else if (step.shader === 'round-rows') {
      must(invocations(step) * (32 / yBits) >= u.first! + u.count! - u.first_word! * (32 / yBits), 'round-rows: too few workgroups');
      must(Math.floor(u.first! / (32 / yBits)) === u.first_word, 'round-rows: another first word');
      for (let at = 0; at < u.count!; at++) {
        const first = Math.floor(at / u.n!) * u.pitch! + (at % u.n!);
        const tags = Array.from({ length: u.splits! }, (_, s) => sums.get(absolute(step, 'sums', first + s * u.split_pitch!, 32)));
        const tag = tags[0]?.split('/')[0];
        must(tag !== undefined, 'round-rows reads a sum that was not made');
        tags.forEach((found, s) => {
          must(found === `${tag}/${s} of ${u.splits}`, `round-rows adds '${found}' as split ${s} of '${tag}'`);
        });
        y.put(absolute(step, 'y', u.first! + at, yBits), tag);
      }
      sums.clear();
    } else {
      const kernel = kernels.find(({ name }) => name === step.shader);
      must(kernel !== undefined && step.shader === plan.kernel, `${step.shader}: not the plan's kernel`);
      const extent = kernel.fit(problem, caps, step.params) as Extent;
      must(u.tiles_n! * extent.quads >= u.w_pitch!, 'tiles do not cover the columns');
      const blocks = Math.ceil(u.m! / extent.rows);
      const splits = u.tiles! / (u.tiles_n! * blocks);
      must(Number.isInteger(splits) && splits >= 1, `${splits} tiles for each block of rows and columns`);
      must(splits === 1 || step.bindings.y!.buffer === 'sums', 'splits that nobody adds up');
      must(step.workgroups[0] * step.workgroups[1] >= u.tiles!, 'too few workgroups');
      if (weights.codebook === 'table') must(step.bindings.codebook!.size === 64, 'no codebook');
      must(u.n! <= 4 * u.w_pitch! && 4 * u.w_pitch! - u.n! < 4, `n ${u.n} in ${u.w_pitch} quads`);
      must(u.words === packed.words && u.k === k, 'another k');
      must(u.group_words === (weights.groups > 1 ? weights.groupSize / codes : packed.words), `groups of ${u.group_words} words`);
      const w = step.bindings.w!;
      must(w.offset === 0 && w.size === u.words * u.w_pitch! * 16, 'w is not words × quads');
      const slab = packed.slabs.find(({ begin }) => begin === u.column);
      must(slab !== undefined && slab.count === u.n && slab.pitch === u.w_pitch, `column ${u.column} begins no slab`);
      must(w.buffer === `w${packed.slabs.indexOf(slab)}`, `${w.buffer} for column ${u.column}`);
      must(u.column! % 4 === 0 && u.y_base! % 4 === 0 && u.y_pitch! % 4 === 0, 'y is written by quads');
      const scratchY = step.bindings.y!.buffer === 'sums';
      for (let i = 0; i < u.m!; i++) {
        const tagged = new Set<string>();
        for (let j = 0; j < u.words * codes; j++) {
          const tag = tagOfX(step, 4 * (u.x_base! + i * u.x_pitch!) + j);
          const [row, column] = (tag ?? '').split(',');
          if (j < k) {
            must(column === String(inputOf(problem, j)), `x[${i}, ${j}] is '${tag}'`);
            tagged.add(row!);
          } else must(tag === '0', `beyond k there is '${tag}'`);
        }
        must(tagged.size === 1, 'a row of several rows');
        if (step.bindings.x_codes)
          for (let block = 0; block < blocksOf(k); block++) {
            const tag = codeBlocks.get(step.bindings.x_codes.offset + i * codesRow + 4 * block * blockWords(digits));
            must(tag === `${[...tagged][0]},${block}`, `x_codes[${i}, ${block}] is '${tag}'`);
          }
        for (let c = 0; c < u.n!; c++) {
          const at = absolute(step, 'y', u.y_base! + i * u.y_pitch! + u.column! + c, scratchY ? 32 : yBits);
          const tag = `${[...tagged][0]},${u.column! + c}`;
          if (!scratchY) y.put(at, tag);
          for (let s = 0; scratchY && s < splits; s++) {
            const place = absolute(step, 'y', u.y_base! + (s * u.m! + i) * u.y_pitch! + u.column! + c, 32);
            sums.put(place, `${tag}/${s} of ${splits}`);
          }
        }
      }
    }
    before = step.shader;
  }
  must(y.size === m * n, `${y.size} elements of y, not ${m * n}`);
  for (let i = 0; i < m; i++)
    for (let c = 0; c < n; c++) {
      const tag = y.get(problem.yOffset + i * problem.yPitch + c);
      must(tag === `${i},${c}`, `y[${i}, ${c}] is '${tag}'`);
    }
}

/** Index of code (n, k) of the caller's weight, in codes, from the definition of its layout. */
function indexOfCode({ n, k, bits, weight }: Operands, column: number, row: number): number {
  if (weight.nz === 0) return column * weight.strideN + row * weight.strideK;
  const [rows, r, c] = weight.nz === 1 ? [n, column, row] : [k, row, column];
  const width = bits === 4 ? 64 : 32;
  return (Math.floor(c / width) * Math.ceil(rows / 16) + Math.floor(r / 16)) * 16 * width + (r % 16) * width + (c % width);
}

/** Runs a load; throws unless every word, scale, offset and bias of the packed layout is filled once with what belongs there. */
export function runLoad(
  { operands, packed, caps }: { readonly operands: Operands; readonly packed: Packed; readonly caps: Caps },
  { views, lengths }: { readonly views: Views; readonly lengths: Readonly<Record<string, number>> },
  dispatches: readonly Dispatch[],
): void {
  const { n, k, bits, groups } = operands;
  const codes = 32 / bits;
  const sizes: Record<string, number> = sizesOf(operands, packed);
  for (const [name, length] of Object.entries(lengths)) {
    if (views[name]) sizes[name] = wholeWords((views[name].offset + length) * BYTES[views[name].dtype]);
  }
  const filled = new Map(Object.keys(sizesOf(operands, packed)).map((name) => [name, new Tags(name)]));
  const columnsOf: Readonly<Record<string, readonly [ColumnView | undefined, string]>> = {
    scale: [operands.scale, 'antiquantScale'],
    offset: [operands.offset, 'antiquantOffset'],
    columnBias: [operands.bias, 'bias'],
  };

  for (const step of dispatches) {
    checkBindings(step, caps, sizes);
    const u = step.uniforms;
    if (step.shader === 'repack') {
      const out = step.bindings.packed!;
      const index = Number(out.buffer.slice(1));
      const slab = packed.slabs[index]!;
      must(invocations(step) >= u.n_count! * u.row_count!, 'repack: too few workgroups');
      const first = views.weight!.offset * (bits === 4 ? 8 : 1);
      for (let word = 0; word < u.row_count!; word++)
        for (let c = 0; c < u.n_count!; c++) {
          const column = u.n! + c;
          must(column >= slab.begin && column < slab.begin + slab.count, `column ${column} in slab ${index}`);
          for (let i = 0; i < codes; i++) {
            const row = (u.row! + word) * codes + i;
            if (row >= u.k!) continue;
            // What the shader computes, against the definition.
            const width = 8 * codes;
            const [r, d] = step.params.NZ === 1 ? [column, row] : [row, column];
            const relative =
              step.params.NZ === 0
                ? u.base! + column * u.stride_n! + row * u.stride_k!
                : u.base! + (Math.floor(d / width) * u.tile_rows! + Math.floor(r / 16)) * 16 * width + (r % 16) * width + (d % width);
            const found = absolute(step, 'source', relative, bits) - first;
            must(found === indexOfCode(operands, column, row), `code (${column}, ${row}) is read at ${found}`);
          }
          const at = absolute(step, 'packed', u.packed_base! + word * u.packed_pitch! + c, 32);
          must(at === (u.row! + word) * 4 * slab.quads + column - slab.begin, `word (${u.row! + word}, ${column}) goes to ${at}`);
          filled.get(out.buffer)!.put(at, '');
        }
    } else if (step.shader === 'repack-scale') {
      const out = step.bindings.out!;
      const [, kind, number] = /^(scale|offset|columnBias)(\d*)$/.exec(out.buffer)!;
      const [columns, name] = columnsOf[kind!]!;
      const slab = kind === 'columnBias' ? { begin: 0, count: n, quads: Math.ceil(n / 4) } : packed.slabs[Number(number)]!;
      const perWord = step.params.ELEMENT === 16 ? 2 : 1;
      must(
        u.out_pitch! * perWord === 4 * slab.quads && u.out_count === u.out_pitch && u.out_step === 1 && u.n === slab.count,
        `${out.buffer}: rows of ${u.out_pitch}`,
      );
      must(invocations(step) >= u.groups! * u.out_pitch!, 'repack-scale: too few workgroups');
      for (let index = 0; index < u.groups! * u.out_pitch!; index++) {
        const g = Math.floor(index / u.out_pitch!);
        const at = absolute(step, 'out', u.out_base! + index, 32);
        const group = Math.floor(at / u.out_pitch!);
        for (let i = 0; i < perWord; i++) {
          const c = (index % u.out_pitch!) * perWord + i;
          if (c >= u.n!) continue;
          const relative = u.base! + g * u.stride_g! + c * u.stride_n!;
          const found = absolute(step, 'source', relative, 8 * BYTES[columns!.dtype]);
          const want = views[name]!.offset + group * columns!.strideG + (slab.begin + c) * columns!.strideN;
          must(found === want, `${out.buffer} (${group}, ${c}) is read at ${found}, not ${want}`);
        }
        filled.get(out.buffer)!.put(at, '');
      }
    } else {
      must(step.shader === 'repack-quant', `${step.shader} loads nothing`);
      must(invocations(step) >= n, 'repack-quant: too few workgroups');
      for (let c = 0; c < n; c++) {
        const scale = absolute(step, 'scale', u.scale_base! + c * u.stride!, step.params.SOURCE === 4 ? 64 : 32);
        must(scale === views.quantScale!.offset + c * operands.quant!.stride, `quantScale ${c} is read at ${scale}`);
        if (step.params.QUANT_OFFSET === 1) {
          const offset = absolute(step, 'offset', u.offset_base! + c * u.stride!, 32);
          must(offset === views.quantOffset!.offset + c * operands.quant!.stride, `quantOffset ${c} is read at ${offset}`);
        }
        for (const at of [c, u.out_pitch! + c]) filled.get('columnQuant')!.put(absolute(step, 'out', at, 32), '');
      }
      must(sizesOf(operands, packed).columnQuant === 8 * u.out_pitch!, 'columnQuant is not two rows');
    }
  }
  packed.slabs.forEach((slab, i) => {
    must(filled.get(`w${i}`)!.size === packed.words * slab.count, `w${i}: ${filled.get(`w${i}`)!.size} words`);
    for (const slice of [slab.scale, ...(operands.offset ? [slab.offset!] : [])]) {
      const { size } = filled.get(slice.buffer)!;
      must(4 * size === slice.size, `${slice.buffer}: ${size} of ${slice.size / 4} u32s for ${groups} groups`);
    }
  });
  must(filled.get('columnBias')!.size === (operands.bias ? Math.ceil(n / 4) * 4 : 0), 'bias');
  if (operands.quant) must(filled.get('columnQuant')!.size === 2 * n, 'quant');
  must(k <= packed.words * codes, 'words');
}
