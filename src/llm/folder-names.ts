// Names that only Hugging Face folders have: of each expert, and of a text model beside what reads images.
import type { Roots } from './names.js';

/** The name of one expert's matrix in folders: `mlp.experts.3.gate_proj` of `mlp.experts.gate_proj`. */
export const ofExpert = (name: string, expert: number): string => name.replace('.experts.', `.experts.${expert}.`);

/** The name of the experts' one tensor in MLX folders: `mlp.switch_mlp.gate_proj` of `mlp.experts.gate_proj`, or of Mixtral's `w1`. */
export const stackedName = (name: string): string =>
  name.replace(/\.experts\.(\w+)$/, (_, own: string) => `.switch_mlp.${Object.hasOwn(MIXTRAL, own) ? MIXTRAL[own] : own}`);
const MIXTRAL: Readonly<Record<string, string>> = { w1: 'gate_proj', w2: 'down_proj', w3: 'up_proj' };

/** Where folders of more than text have the model: by transformers itself, by what was saved before version 4.52, and since. */
const ROOTS: readonly Roots[] = [
  ['model.', ''],
  ['language_model.model.', 'language_model.'],
  ['model.language_model.', ''],
];
const NOT_TEXT = /^(model\.)?(vision_tower|multi_modal_projector)\./;

/** Where a folder has the text model, by its names of tensors. */
export const rootsIn = (names: readonly string[]): Roots | undefined =>
  ROOTS.find(([model]) => names.some((name) => name.startsWith(`${model}embed_tokens.`)));

/** Is it a tensor of what turns images into rows? */
export const isBesideText = (name: string): boolean => NOT_TEXT.test(name);
