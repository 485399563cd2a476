// Any shape, by the formula as written; the one that every device can run.
import type { CostOf, Kernel } from './kernel.js';
import { operandBindings, operandUniforms } from './operands.js';

export const matmulPlain: Kernel = {
  name: 'matmul-plain',
  bindings: operandBindings,
  uniforms: operandUniforms,
  experts: true,
  rounds: true,
  codebooks: ['none', 'table', 'e2m1', 'e4m3'],
  tiles: [{}],
  choose: () => ({ tile: {}, why: 'one invocation for four columns of one row, by the formula: serves every shape' }),
  suits: () => false, // it is nowhere the fastest
  fit: () => ({ rows: 1, quads: 64 }),
};

export const cost: CostOf = () => ({ rows: 1, columns: 4, k: 1, around: 8 });
