// From the id of a variant, as errors, labels and `explain` print it, to the variant.
import { variantText } from '../../src/gpu/pipeline.js';
import { allVariants } from '../../src/kernels/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { addBestText } from '../../src/wgsl/best-text.js';
import { addGluText } from '../../src/wgsl/glu-text.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { addQuantizeText } from '../../src/wgsl/quantize-text.js';
import { addRowsText } from '../../src/wgsl/rows-text.js';
import { addSortText } from '../../src/wgsl/sort-text.js';

addQuantizeText();
addBestText();
addGluText();
addRowsText();
addSortText();

export interface Found {
  readonly id: string;
  readonly shader: string;
  readonly params: Params;
  /** The text that runs. */
  readonly code: string;
}

const variants = new Map(allVariants().map(({ shader, params }) => [variantId(shader.name, params), { shader: shader.name, params }]));

/** The variant of an id; of an unknown one, the ids that are most like it; of none, one of each shader. */
export function findVariant(id: string): Found | readonly string[] {
  const variant = variants.get(id);
  if (variant) return { id, ...variant, code: variantText(variant).code };
  return id === '' ? [...new Map([...variants].map(([other, { shader }]) => [shader, other])).values()] : near(id, 5);
}

const wordsOf = (id: string): string[] => id.split(/[[\],\s]+/).filter((word) => word !== '');

/** Those of the shader whose name begins most like the id, with the fewest params that differ. */
function near(id: string, count: number): string[] {
  const [name = '', ...asked] = wordsOf(id);
  const alike = (other: string): number => {
    let i = 0;
    while (i < name.length && name[i] === other[i]) i++;
    return i / Math.max(name.length, other.length);
  };
  const far = (other: string): number => {
    const [shader, ...params] = wordsOf(other);
    const differ = params.filter((param) => !asked.includes(param)).length + asked.filter((param) => !params.includes(param)).length;
    return differ - 1000 * alike(shader!);
  };
  const ranked = [...variants.keys()].map((other) => ({ other, distance: far(other) }));
  return ranked
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ other }) => other);
}
