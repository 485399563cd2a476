// Finds the layers of an ONNX graph: nodes with quantized constants, and float constants of MatMul and Gemm.
import { FormatError } from '../errors.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { showShape } from '../problem/view.js';
import type { FoundLayers } from './found-layers.js';
import { constantsOf, neighboursOf, usesOf } from './graph-values.js';
import type { Found, FoundNode, NodeFormat } from './layer-format.js';
import { NODE_FORMATS } from './layer-formats.js';
import type { LayerSource } from './layer-source.js';
import { unknownWeights, whyNotRead } from './layouts.js';

const FLOATS = ['F16', 'BF16', 'F32'];

/** @throws FormatError if a constant of the layer is missing */
function inputsOf({ inputs, turns }: NodeFormat, { file, name, node, constant, turned }: FoundNode, required: number): Found {
  const found = inputs.flatMap((part, i) => {
    const given = node.inputs[i];
    if (!part || (!given && i >= required)) return [];
    const info = constant(i);
    if (!info) throw new FormatError({ file, tensor: name, field: part }, 'a constant of the file', given || 'none');
    if (turned(i) && part !== turns)
      throw new FormatError({ file, tensor: name, field: part }, 'a constant as it lies', 'a Transpose of one');
    return [[part, info] as const];
  });
  return Object.fromEntries(found);
}

/** @throws FormatError, ReadError, the reason of `signal` */
export async function findNodes(file: TensorFile, signal?: AbortSignal): Promise<FoundLayers> {
  const { nodes = [], tensors } = file;
  const constants = await constantsOf(file, signal);
  const uses = usesOf(nodes, constants);
  const used = (name: string) => uses.get(name);
  const asItLies = (name: string): TensorInfo | undefined => (constants.get(name)?.turned ? undefined : constants.get(name)?.info);
  const graph = { ...neighboursOf(nodes), constant: asItLies };
  const layers: LayerSource[] = [];
  const refused: FoundLayers['refused'][number][] = [];
  const notYet: FoundLayers['notYet'][number][] = [];
  const roles = new Map<string, string>();
  const taken = new Set<string>();
  for (const node of nodes) {
    const format = NODE_FORMATS.find(({ op }) => op === node.op);
    if (!format) continue;
    const given = node.inputs.map((input) => constants.get(input));
    const own = given.flatMap((one) => (one ? [one.info.name] : []));
    const name = node.name || own[0] || node.op;
    const turned = (i: number): boolean => given[i]?.turned ?? false;
    const constant = (i: number): TensorInfo | undefined => given[i]?.info;
    const found: FoundNode = { file: file.name, node, name, constant, turned, used: used(node.outputs[0] ?? ''), graph };
    const first = format.inputs.findIndex((part) => part !== '');
    const required = first + 2;
    // DequantizeLinear and MatMulInteger also take activations, which are not constants.
    if (own.length === 0 || (format.computed && !constant(first))) continue;
    try {
      const layer = format.make(inputsOf(format, found, required), found);
      if (!layer) continue;
      layers.push(layer);
      // Layers may share a constant; it stays with the first layer.
      for (const [part, info] of [...Object.entries(layer.tensors), ...(layer.bias ? [['bias', layer.bias] as const] : [])]) {
        roles.set(info.name, `${layer.format}: ${part} of ${name}`);
        taken.add(info.name);
      }
      for (const input of own) taken.add(input);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      refused.push({ name, format: format.name, error });
      for (const input of own) if (!roles.has(input)) roles.set(input, `${format.name}, refused: input of ${name}`);
    }
  }
  const all = [...tensors.values()];
  const isFloat = ({ name, dtype, shape }: TensorInfo): boolean => FLOATS.includes(dtype) && shape.length === 2 && !roles.has(name);
  const floats = all.filter(isFloat).map((info) => (used(info.name) === 'KN' ? { ...info, transposed: true } : info));
  for (const info of all) {
    if (roles.has(info.name)) continue;
    const what = unknownWeights(info);
    if (what) notYet.push({ name: info.name, format: what, why: whyNotRead(what), tensors: [info] });
    const said = what ? `${what}, not read yet` : isFloat(info) ? 'not quantized' : 'no layer';
    roles.set(info.name, `${info.dtype} ${showShape(info.shape)}: ${said}`);
  }
  const transposed = new Set(floats.filter(({ name }) => used(name) === 'KN').map(({ name }) => name));
  const multiplied = new Set(floats.filter(({ name }) => used(name)).map(({ name }) => name));
  return { layers, experts: [], refused, notYet, roles, floats, rest: all.filter(({ name }) => !taken.has(name)), transposed, multiplied };
}
