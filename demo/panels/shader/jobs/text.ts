// The text of a variant, the origin of each line, and wgsl_reflect's reading of it compared with the library's tables.
import { variantText } from '../../../../src/gpu/pipeline.js';
import { shaders } from '../../../../src/kernels/index.js';
import { variantId } from '../../../../src/kernels/kernel.js';
import type { Params, Place } from '../../../../src/wgsl/preprocess.js';
import { sources } from '../../../../src/wgsl/sources.js';

export interface Variant {
  readonly shader: string;
  readonly params: Params;
}

/** A #param of the text's files. */
export interface Knob {
  readonly name: string;
  readonly value: number;
  readonly legal: readonly string[];
  readonly remark: string;
  /** In the text, from 1. */
  readonly line: number;
}
export interface ShaderText {
  readonly id: string;
  readonly shader: string;
  readonly code: string;
  /** Of each line of `code`. */
  readonly places: readonly Place[];
  readonly knobs: readonly Knob[];
}

/**
 * Makes texts known that only some pages have, such as those of language models.
 * @throws Error for a shader that there is none of
 */
async function known({ shader }: Variant): Promise<void> {
  if (!shaders.has(shader) || !(`${shader}.wgsl` in sources)) {
    const [{ addLlmShaders }, { addRowsText }] = await Promise.all([
      import('../../../../src/llm-kernels/shaders.js'),
      import('../../../../src/wgsl/rows-text.js'),
    ]);
    addLlmShaders();
    addRowsText();
  }
  if (!shaders.has(shader)) throw new Error(`shader: expected one of shaders/, got ${shader}`);
}

export async function textOf(variant: Variant): Promise<ShaderText> {
  await known(variant);
  const { code, places } = variantText(variant);
  const knobs = places.flatMap(({ file, line }, i): Knob[] => {
    const declared = /^\s*#param (\w+)\s+([\d ]+?)\s*(?:\/\/\s*(.*))?$/.exec(sources[file]!.split('\n')[line - 1] ?? '');
    if (!declared) return [];
    const [, name, legal, remark = ''] = declared;
    return [{ name: name!, value: variant.params[name!]!, legal: legal!.split(/\s+/), remark, line: i + 1 }];
  });
  return { id: variantId(variant.shader, variant.params), shader: variant.shader, code, places, knobs };
}

// ------------------------------------------------------------------------------------------------------------ reflection

export interface ReflectedBinding {
  readonly group: number;
  readonly binding: number;
  readonly name: string;
  readonly type: string;
  readonly access: string;
  /** Bytes of a struct or of an array's element. */
  readonly size: number;
  readonly line: number;
}
export interface ReflectedMember {
  readonly name: string;
  readonly type: string;
  readonly offset: number;
  readonly size: number;
}
export interface ReflectedStruct {
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly members: readonly ReflectedMember[];
}
export interface ReflectedFunction {
  readonly name: string;
  /** In the text, from 1. */
  readonly line: number;
  readonly end: number;
  /** Does main call it, directly or indirectly? */
  readonly used: boolean;
  readonly entry: boolean;
}
export interface Reflection {
  readonly id: string;
  readonly bindings: readonly ReflectedBinding[];
  readonly structs: readonly ReflectedStruct[];
  readonly functions: readonly ReflectedFunction[];
  /** Workgroup size of main; undefined if it cannot be read as constants. */
  readonly workgroup?: readonly number[];
  /** Differences between the text and the library's tables; there should be none. */
  readonly differences: readonly string[];
}

/** wgsl_reflect takes `workgroup` for a keyword everywhere and does not know subgroup matrices. The replacement keeps all lines. */
const NAME = 'workgroup_index';
const readable = (code: string): string =>
  code
    .replace(/(?<!<)\bworkgroup\b/g, NAME)
    .replace(/subgroup_matrix_\w+<(\w+), \w+, \w+>/g, 'array<$1, 1>')
    .replace(/(subgroupMatrix(?:Load|Store))<[^>]*>/g, '$1');

/** The value of an unsigned constant or literal. */
function constant(word: string, code: string): number {
  if (/^\d+u?$/.test(word)) return Number.parseInt(word, 10);
  return Number(new RegExp(`^const ${word}(?:\\s*:\\s*u32)? = (\\d+)u?;`, 'm').exec(code)?.[1] ?? Number.NaN);
}

/** The type in WGSL's spelling: a runtime-sized array has no count. */
const typeName = (type: { getTypeName(): string }): string => type.getTypeName().replaceAll(', 0>', '>');

export async function reflect(variant: Variant): Promise<Reflection> {
  await known(variant);
  const { WgslReflect, ResourceType } = await import('wgsl_reflect/wgsl_reflect.module.js');
  const { code } = variantText(variant);
  const found = new WgslReflect(readable(code));
  const lines = code.split('\n');
  const shader = shaders.get(variant.shader)!;

  const bindings = [...found.uniforms, ...found.storage]
    .map(
      (one): ReflectedBinding => ({
        group: one.group,
        binding: one.binding,
        name: one.name,
        type: typeName(one.type),
        access: one.resourceType === ResourceType.Uniform ? 'uniform' : one.access,
        size: one.isArray ? one.stride : one.size,
        line: 1 + lines.findIndex((line) => new RegExp(`@binding\\(${one.binding}\\)`).test(line)),
      }),
    )
    .sort((a, b) => a.binding - b.binding);
  const structs = found.structs
    .filter(({ inUse }) => inUse)
    .map(({ name, size, align, members }) => ({
      name,
      size,
      align,
      members: members.map((member) => ({ name: member.name, type: typeName(member.type), offset: member.offset, size: member.size })),
    }));
  const functions = found.functions.map(({ name, startLine, endLine, inUse, stage }) => ({
    name,
    line: startLine,
    end: endLine,
    used: inUse || stage === 'compute',
    entry: stage === 'compute',
  }));
  const size = found.entry.compute[0]?.attributes?.find(({ name }) => name === 'workgroup_size')?.value;
  const workgroup = [size ?? []].flat().map((word) => constant(String(word), code));

  const ACCESS: Readonly<Record<string, string>> = { uniform: 'uniform', read: 'read', write: 'read_write' };
  const said = bindings.map(({ group, binding, name, access }) => `@group(${group}) @binding(${binding}) ${name} ${access}`);
  const wanted = shader.bindings
    .filter(({ when }) => when?.(variant.params) ?? true)
    .toSorted((a, b) => a.binding - b.binding)
    .map(({ binding, name, access }) => `@group(0) @binding(${binding}) ${name} ${ACCESS[access]}`);
  const members =
    structs.find(({ name }) => name === 'Params')?.members.map(({ name, type, offset }) => `${name} ${type} at ${offset}`) ?? [];
  const uniforms = shader.uniforms.map((name, i) => `${name} u32 at ${4 * i}`);
  const unlike = (a: readonly string[], b: readonly string[]): string[] => a.filter((one) => !b.includes(one));
  return {
    id: variantId(variant.shader, variant.params),
    bindings,
    structs,
    functions,
    ...(workgroup.length > 0 && workgroup.every(Number.isInteger) && { workgroup }),
    differences: [
      ...[...unlike(said, wanted), ...unlike(members, uniforms)].map((one) => `only the text has ${one}`),
      ...[...unlike(wanted, said), ...unlike(uniforms, members)].map((one) => `only the tables have ${one}`),
    ],
  };
}
