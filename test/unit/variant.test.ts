// A variant is found by its id in its one spelling; an unknown id lists similar ones.
import { expect, test } from 'vitest';
import { findVariant } from '../../scripts/variant/find.js';
import { allVariants, shaders } from '../../src/kernels/index.js';
import { variantId } from '../../src/kernels/kernel.js';

const ID = 'matmul-rows[BITS=4,CODEBOOK=0,ENDING=0,EXPERTS=0,LANES=8,LOADS=4,OFFSET=0,READ=4,ROUND=0,ROWS=1,SCALE=0,X=0,Y=0]';
const near = (id: string): readonly string[] => {
  const found = findVariant(id);
  if (!Array.isArray(found)) throw new Error(`${id} is a variant`);
  return found;
};

test('the id of a variant finds its text', () => {
  const all = allVariants();
  for (const { shader, params } of [all[0]!, all[777]!, all.at(-1)!])
    expect(findVariant(variantId(shader.name, params))).toMatchObject({ shader: shader.name, params });
  expect(findVariant(ID)).toMatchObject({ id: ID, shader: 'matmul-rows', code: expect.stringMatching(/^const ROWS = 1u;/m) });
});

test('another spelling does not', () => {
  for (const id of [ID.replace('BITS=4,CODEBOOK=0', 'CODEBOOK=0,BITS=4'), ID.replaceAll(',', ', '), 'matmul-rows BITS=4', `${ID} `])
    expect(near(id), id).toContain(ID);
});

test('an unknown id finds ids of the shader whose name is most like it, with the fewest other params', () => {
  expect(near(ID.replace('X=0', 'X=9'))[0]).toBe(ID);
  expect(near(ID.replace('matmul-rows', 'matmul-row'))[0]).toBe(ID);
  expect(near('repack[BITS=4,NZ=3]').every((id) => id.startsWith('repack[BITS='))).toBe(true);
  expect(near('matmul-decode[ROWS=3,LANES=64]').every((id) => id.startsWith('matmul-decode['))).toBe(true);
  expect(near('nonsense')).toHaveLength(5);
});

test('no id finds one of each shader', () => {
  expect(near('').map((id) => id.split('[')[0])).toEqual([...shaders.keys()]);
});
