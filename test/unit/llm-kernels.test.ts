// The tables of src/llm/shaders.ts against shaders/llm, and what the noise of tokens is made of.
import { describe, expect, test } from 'vitest';
import { ResourceType, WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { storageBindings } from '../../src/kernels/fits.js';
import { variantId } from '../../src/kernels/kernel.js';
import { addLlmShaders, llmShaders } from '../../src/llm/shaders.js';
import { sources } from '../../src/wgsl/sources.js';
import { llmVariants } from '../cases/llm-variants.js';
import { readable, variantText } from '../support/problems.js';

addLlmShaders();
const variants = llmVariants();

/** Bytes of the variables of a workgroup: `array<T, N>` of f32, u32, vec4<f32> or Choice. */
function workgroupBytes(code: string): number {
  const numbers = new Map<string, number>();
  const evaluate = (text: string): number => {
    const filled = text.replace(/\b[A-Z]\w*\b/g, (name) => String(numbers.get(name))).replace(/(\d)u\b/g, '$1');
    expect(filled).toMatch(/^[\d\s()+*/-]+$/);
    return Number(new Function(`return Math.floor(${filled})`)());
  };
  for (const [, name, text] of code.matchAll(/^const (\w+) = ([^;]+);/gm))
    if (/^[A-Z0-9\su()+*/]+$/.test(text!) && !text!.includes('0x')) numbers.set(name!, evaluate(text!));
  const sizes: Readonly<Record<string, number>> = { f32: 4, u32: 4, 'vec4<f32>': 16, Choice: 8 };
  let sum = 0;
  for (const [, type, count] of code.matchAll(/^var<workgroup> \w+: array<([\w<>]+), ([^;]+)>;/gm)) sum += sizes[type!]! * evaluate(count!);
  expect(code.match(/^var<workgroup>/gm)?.length ?? 0).toBe(code.match(/^var<workgroup> \w+: array</gm)?.length ?? 0);
  return sum;
}

describe('bindings, uniforms and sizes of every variant', () => {
  test.each(llmShaders)('$name', (shader) => {
    const mine = variants.filter((variant) => variant.shader === shader);
    expect(mine.length).toBeGreaterThan(0);
    for (const { params } of mine) {
      const id = variantId(shader.name, params);
      const { code } = variantText(shader.name, params);
      const reflected = new WgslReflect(readable(code));
      const found = [...reflected.uniforms, ...reflected.storage].map(({ name, group, binding, access, resourceType }) => ({
        ...{ name, group, binding },
        access: resourceType === ResourceType.Uniform ? 'uniform' : access === 'read_write' ? 'write' : access,
      }));
      const wanted = shader.bindings.filter(({ when }) => when?.(params) ?? true);
      expect(
        found.sort((a, b) => a.binding - b.binding),
        id,
      ).toEqual(wanted.map(({ name, binding, access }) => ({ name, group: 0, binding, access })));
      const members = reflected.uniforms.find(({ name }) => name === 'params')!.members!;
      const plain = members.filter(({ name }) => name !== shader.list?.name).map(({ name, type, offset }) => [name, type.name, offset]);
      expect(plain, id).toEqual(shader.uniforms.map((name, i) => [name, shader.floats.includes(name) ? 'f32' : 'u32', 4 * i]));
      if (shader.list) expect(members.at(-1)!.offset, id).toBe(16 * Math.ceil(shader.uniforms.length / 4));
      expect(storageBindings(shader, params), id).toBeLessThanOrEqual(8);
      expect(workgroupBytes(code), id).toBeLessThanOrEqual(16384);
      expect(params.LANES ?? 64, id).toBeLessThanOrEqual(256);
    }
  });
});

test('every file of shaders/llm is part of some variant, and no page without them has one', () => {
  const files = Object.keys(sources).filter((file) => file.startsWith('llm/'));
  expect(files.length).toBeGreaterThan(llmShaders.length);
  const used = new Set(variants.flatMap(({ shader, params }) => variantText(shader.name, params).places.map(({ file }) => file)));
  expect(files.filter((file) => !used.has(file))).toEqual([]);
});
