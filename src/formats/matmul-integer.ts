// Finds weights of products that round x to uint8 as they run, which ONNX Runtime's quantize_dynamic makes (transformers.js's q8): MatMulInteger
// with the Mul and Add behind it, and its fused forms DynamicQuantizeMatMul and MatMulIntegerToFloat. The weights are those of
// DequantizeLinear, with an input less: (B - b_zero_point) · b_scale. x stays as it is.
// Rules: github.com/onnx/onnx, docs/Operators.md (MatMulInteger, DynamicQuantizeLinear); onnxruntime, docs/ContribOperators.md, and
// python/tools/quantization/operators/matmul.py, which writes the nodes.
import { FormatError } from '../errors.js';
import { elementsIn } from '../files/raw-tensor.js';
import type { GraphNode, TensorInfo } from '../files/tensor-file.js';
import type { Found, FoundNode, NodeFormat, WeightFormat } from './layer-format.js';
import type { LayerSource } from './layer-source.js';
import { dequantizedLayer } from './qdq.js';

const FLOATS = ['F32', 'F16', 'BF16'];

/** The node that alone takes a value, if it is this operator. */
function only({ graph }: FoundNode, value: string | undefined, op: string): GraphNode | undefined {
  const takers = graph.takers(value ?? '');
  return value && takers.length === 1 && takers[0]!.op === op ? takers[0] : undefined;
}
/** The other input of a node of two. */
const other = ({ inputs }: GraphNode, value: string | undefined): string | undefined =>
  inputs.length === 2 ? inputs.find((input) => input !== value) : undefined;

/** A constant (N) that is added to a value, which nothing else takes. */
function biasBehind(found: FoundNode, value: string | undefined, n: number): TensorInfo | undefined {
  const add = only(found, value, 'Add');
  const info = add && found.graph.constant(other(add, value) ?? '');
  return info && FLOATS.includes(info.dtype) && String(info.shape) === String([n]) ? info : undefined;
}

/** The scale of B, and y, of a MatMulInteger: y = Cast(product) · (a_scale · b_scale). */
function behind(found: FoundNode): { readonly x_scale: TensorInfo; readonly y: string | undefined } {
  const { node, graph, file, name: tensor } = found;
  const cast = only(found, node.outputs[0], 'Cast');
  const mul = only(found, cast?.outputs[0], 'Mul');
  const scales = mul && graph.maker(other(mul, cast?.outputs[0]) ?? '');
  const rounded = graph.maker(node.inputs[0] ?? '');
  const ofX = rounded?.op === 'DynamicQuantizeLinear' ? rounded.outputs[1] : undefined;
  const x_scale = scales?.op === 'Mul' && ofX && scales.inputs.includes(ofX) ? graph.constant(other(scales, ofX) ?? '') : undefined;
  if (!x_scale)
    throw new FormatError(
      { file, tensor, field: 'x_scale' },
      "a Cast and a Mul with x's scale times a constant behind the node",
      'other nodes',
    );
  return { x_scale, y: mul?.outputs[0] };
}

/** Shapes of one number are as good as each other. */
const alike = (info: TensorInfo | undefined): TensorInfo | undefined =>
  info && (elementsIn(info.shape) === 1 ? { ...info, shape: [] } : info);

/** The layer of a node, read in one piece. @throws FormatError */
function layerOf({ bias: given, x, x_scale: scale, x_zero_point: zero }: Found, found: FoundNode): LayerSource | undefined {
  const { node, file, name: tensor } = found;
  if (x!.shape.length !== 2) return undefined;
  const { x_scale, y } = node.op === 'MatMulInteger' ? behind(found) : { x_scale: scale, y: node.outputs[0] };
  if (!x_scale) throw new FormatError({ file, tensor, field: 'x_scale' }, 'a constant of the file', 'none');
  const parts = { x: x!, x_scale: alike(x_scale)!, x_zero_point: alike(zero) };
  const layer = dequantizedLayer(parts, { name: tensor, format: node.op, layout: 'KN', axis: 1 });
  const bias = given ?? biasBehind(found, y, layer.n);
  if (bias && String(bias.shape) !== String([layer.n]))
    throw new FormatError({ file, tensor, field: 'bias' }, `(${layer.n})`, `(${bias.shape.join(', ')})`);
  return { ...layer, bias };
}

const format = (op: string, inputs: readonly string[]): NodeFormat => ({
  op,
  name: op,
  importer: 'importDequantizeLinear',
  inputs,
  computed: true,
  make: layerOf,
});

export const matMulIntegerFormat: WeightFormat = {
  rows: [
    {
      exact: '=',
      format: 'ONNX MatMulInteger, DynamicQuantizeMatMul, MatMulIntegerToFloat',
      tensors: '`B`, `b_zero_point` of a node, `b_scale` of it or of the Mul behind, `bias` of it or of the Add behind',
      read: 'int8 and uint8 (K, N); scales for all or for outputs. x is not rounded',
    },
  ],
  layers: [],
  nodes: [
    format('MatMulInteger', ['', 'x', '', 'x_zero_point']),
    format('DynamicQuantizeMatMul', ['', 'x', 'x_scale', 'x_zero_point', 'bias']),
    format('MatMulIntegerToFloat', ['', 'x', '', 'x_scale', '', 'x_zero_point', 'bias']),
  ],
};
