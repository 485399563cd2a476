// The variants of shaders/llm that src/llm asks for. Holds no test.

import { variantText } from '../../src/gpu/pipeline.js';
import { variantId } from '../../src/kernels/kernel.js';
import type { Heads } from '../../src/llm-kernels/attention.js';
import { attendDispatches, attendRowsDispatch, ropeDispatch, WIDTHS } from '../../src/llm-kernels/attention.js';
import { capDispatch } from '../../src/llm-kernels/cap.js';
import { gluDispatch } from '../../src/llm-kernels/glu.js';
import { candidatesDispatch, pickDispatch } from '../../src/llm-kernels/pick.js';
import { normAddDispatch, rmsDispatch, routeDispatch } from '../../src/llm-kernels/rms.js';
import { addLlmShaders, type LlmDispatch } from '../../src/llm-kernels/shaders.js';
import { GPU } from '../support/devices.js';
import { cover, wordsOf } from './slice.js';

addLlmShaders();

/** Every pair of values of two params is in one of them. */
export function llmVariants(): readonly Pick<LlmDispatch, 'shader' | 'params'>[] {
  const all: LlmDispatch[] = [rmsDispatch({ rows: 1, width: 64, epsilon: 1e-6 }), gluDispatch({ rows: 1, width: 64, glu: 'silu' })];
  for (const sorted of [false, true])
    all.push(routeDispatch({ count: 8, top: 2, scale: 1 }, { rows: 1, width: 64, epsilon: 1e-6, sorted }));
  all.push(normAddDispatch({ rows: 1, width: 64, epsilon: 1e-6, scale: 1 }), capDispatch({ vocabulary: 8, cap: 30 }, GPU));
  const choosing = { vocabulary: 8, context: 8, limit: 1, stops: [], seed: 0 };
  all.push(pickDispatch({ ...choosing, temperature: 0 }), pickDispatch({ ...choosing, temperature: 1 }));
  all.push(pickDispatch({ ...choosing, temperature: 0 }, 'logits'));
  for (const adjusting of [undefined, {}]) {
    all.push(candidatesDispatch({ ...choosing, adjusting }));
    for (const topK of [undefined, 2]) all.push(pickDispatch({ ...choosing, temperature: topK ? 1 : 0, adjusting, topK }));
    all.push(pickDispatch({ ...choosing, temperature: 1, adjusting }));
  }
  for (const width of WIDTHS.flatMap((one) => [one, one - 6])) // whole, and padded
    for (const rope of ['pairs', 'halves'] as const)
      for (const kv of ['f32', 'f16', 'q8'] as const)
        for (const normEpsilon of [undefined, 1e-6])
          for (const group of [1, 2, 3, 4, 5, 6, 7, 8]) {
            const heads: Heads = { heads: group, kvHeads: 1, width, rope, kv, normEpsilon, capacity: 64, sinks: group % 2 === 0 };
            for (const software of [false, true])
              for (const splits of [1, 2]) all.push(...attendDispatches(heads, { software, positions: 64, splits }));
            all.push(ropeDispatch(heads, { rows: 2, caps: GPU }), attendRowsDispatch(heads, { rows: 2 }));
          }
  const each = [...new Map(all.map((one) => [variantId(one.shader.name, one.params), one])).values()];
  return [...new Set(each.map(({ shader }) => shader))].flatMap((shader) => {
    const mine = each.filter((one) => one.shader === shader).map(({ params }) => params);
    const shown = mine.length === 1 ? mine : cover(mine, (params) => [...wordsOf(params, 1), ...wordsOf(params, 2)]);
    return shown.map((params) => ({ shader, params }));
  });
}

/** The texts that compilers must take. */
export const llmTexts = () =>
  llmVariants().map(({ shader: { name: shader }, params }) => ({
    ...{ id: variantId(shader, params), shader, params },
    code: variantText({ shader, params }).code,
  }));
