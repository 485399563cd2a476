// The cost of every kernel's inner loop, by its name: what `npm run static` compares compiled loops with.
import type { CostOf } from './kernel.js';
import { cost as matmulCodebook } from './matmul-codebook.js';
import { cost as matmulDecode } from './matmul-decode.js';
import { cost as matmulDot4 } from './matmul-dot4.js';
import { cost as matmulPlain } from './matmul-plain.js';
import { cost as matmulPrefill } from './matmul-prefill.js';
import { cost as matmulRows } from './matmul-rows.js';
import { cost as matmulSubgroup } from './matmul-subgroup.js';
import { cost as matmulSubgroupMatrix } from './matmul-subgroup-matrix.js';
import { cost as matmulTiled } from './matmul-tiled.js';

export const costs: Readonly<Record<string, CostOf>> = {
  'matmul-codebook': matmulCodebook,
  'matmul-decode': matmulDecode,
  'matmul-dot4': matmulDot4,
  'matmul-plain': matmulPlain,
  'matmul-prefill': matmulPrefill,
  'matmul-rows': matmulRows,
  'matmul-subgroup-matrix': matmulSubgroupMatrix,
  'matmul-subgroup': matmulSubgroup,
  'matmul-tiled': matmulTiled,
};
