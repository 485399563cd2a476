// The matmul kernels, in the order in which planning asks them, and every shader with all its variants.
import { CODEBOOKS } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import { helperVariants } from './helper-variants.js';
import { helpers } from './helpers.js';
import type { Kernel, Shader } from './kernel.js';
import { matmulCodebook } from './matmul-codebook.js';
import { matmulDecode } from './matmul-decode.js';
import { matmulDot4 } from './matmul-dot4.js';
import { matmulPlain } from './matmul-plain.js';
import { matmulPrefill } from './matmul-prefill.js';
import { matmulRows } from './matmul-rows.js';
import { matmulSubgroup } from './matmul-subgroup.js';
import { matmulSubgroupMatrix } from './matmul-subgroup-matrix.js';
import { matmulTiled } from './matmul-tiled.js';
import { codebooksOf, EXPERTS_SUMMED, operandVariants } from './operands.js';

export const kernels: readonly Kernel[] = [
  matmulDot4,
  matmulSubgroup,
  matmulDecode,
  matmulSubgroupMatrix,
  matmulPrefill,
  matmulCodebook,
  matmulTiled,
  matmulRows,
  matmulPlain,
];

/** Those that take codes for numbers: what a layer of torch's may have. */
export const ofNumbers: readonly Kernel[] = kernels.filter((kernel) => codebooksOf(kernel).includes('none'));

const known = new Map<string, Shader>([...kernels, ...helpers].map((shader) => [shader.name, shader]));
/** Every shader by its name. */
export const shaders: ReadonlyMap<string, Shader> = known;

/** Puts shaders among the others that only some pages have. */
export function addShaders(more: readonly Shader[]): void {
  for (const shader of more) known.set(shader.name, shader);
}

/** The operands that a kernel can have. */
export const operandsOf = (kernel: Kernel): Params[] =>
  operandVariants().filter(
    ({ CODEBOOK, ROUND, EXPERTS }) =>
      codebooksOf(kernel).some((one) => CODEBOOKS[one] === CODEBOOK) &&
      (kernel.rounds || ROUND === 0) &&
      (kernel.experts || EXPERTS === 0) &&
      (kernel.sumsPairs || EXPERTS! < EXPERTS_SUMMED),
  );

/** Every variant that planning, loading or a caller can ask for. */
export function allVariants(): { readonly shader: Shader; readonly params: Params }[] {
  return [
    ...kernels.flatMap((shader) => {
      const operands = operandsOf(shader);
      const variants = shader.tiles.flatMap((tile) => operands.map((params) => ({ shader, params: { ...params, ...tile } })));
      return variants.filter(({ params }) => !shader.excludes?.(params));
    }),
    ...helpers.flatMap((shader) => helperVariants[shader.name]!.map((params) => ({ shader, params }))),
  ];
}
