// Checks the named tensors of `load`: which are allowed and which are required follows from the layer's options.
import { anything, dictionary } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import { Tensor } from '../gpu/tensor.js';
import type { LinearSpec, WeightTensors } from '../problem/problem.js';
import { present } from '../problem/torch-arguments.js';

/** Tensors by the names that a layer's options announce: weight, antiquantScale, antiquantOffset, quantScale, quantOffset, bias. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** torch's names of the tensors. */
const STATE_DICT: Readonly<Record<string, keyof WeightTensors<Tensor>>> = {
  weight: 'weight',
  antiquant_scale: 'antiquantScale',
  antiquant_offset: 'antiquantOffset',
  quant_scale: 'quantScale',
  quant_offset: 'quantOffset',
  bias: 'bias',
};
const BY_NAME = dictionary(anything);
type Name = keyof WeightTensors<Tensor>;
const NAMES: readonly Name[] = Object.values(STATE_DICT);
/** Names of bias and output scale. */
export const OUTPUT_NAMES: readonly Name[] = ['quantScale', 'quantOffset', 'bias'];

/** Renames a state dict's tensors. @throws ArgumentError */
export function fromStateDict(dict: NamedTensors): NamedTensors {
  const entries = Object.entries(BY_NAME(dict, 'dict')).map(([name, tensor]) => {
    const own = Object.hasOwn(STATE_DICT, name) ? STATE_DICT[name] : undefined;
    if (!own) throw new ArgumentError(name, Object.keys(STATE_DICT).join(' or '), 'an unknown name');
    return [own, tensor];
  });
  return Object.fromEntries(entries) as NamedTensors;
}

/** The given tensors of `names`, each usable on `device`, exactly as the options announce. @throws ArgumentError, DeviceLostError */
export function checkNames(spec: LinearSpec, device: GPUDevice, tensors: NamedTensors, names = NAMES): WeightTensors<Tensor> {
  const entries = Object.entries(BY_NAME(tensors, 'tensors'));
  const unknown = entries.find(([name]) => !names.includes(name as never));
  if (unknown) throw new ArgumentError(unknown[0], names.join(' or '), 'an unknown name');
  // undefined and null (torch's None) count as absent.
  const there = entries.filter(([, tensor]) => tensor !== undefined && tensor !== null);
  const given: Record<string, Tensor | undefined> = Object.fromEntries(
    there.map(([name, tensor]) => [name, Tensor.given(tensor, name, device)]),
  );
  // Empty tensors count as absent here, whatever the options say.
  const empty = ['quantScale', 'bias'].filter((name) => given[name] && !present(given[name]));
  for (const name of empty) given[name] = undefined;
  const { bias, antiquantOffset, quantScale, quantOffset } = spec;
  const announced = { weight: true, antiquantScale: true, antiquantOffset, quantScale, quantOffset, bias };
  for (const name of names) {
    const wanted = announced[name];
    if (wanted && !given[name] && !empty.includes(name)) throw new ArgumentError(name, 'a Tensor', 'none');
    if (!wanted && given[name]) throw new ArgumentError(name, `none, for a layer made with ${name}: false`, 'a Tensor');
  }
  return given as unknown as WeightTensors<Tensor>;
}
