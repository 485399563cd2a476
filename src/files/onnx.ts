// Opens ONNX models: the graph's nodes with their whole-number attributes, and the positions of constants in the file or in files beside
// it. formats/ decodes the nodes' constants. Rule: github.com/onnx/onnx, onnx/onnx.proto (ModelProto), which has the numbers of fields below.
import { FormatError } from '../errors.js';
import { checkFound, byteSource as checkSource } from './given.js';
import { counter, functionOf, graphOf, type OnnxFunction } from './onnx-graph.js';
import { layOut } from './onnx-scopes.js';
import { infoOf, type Place } from './onnx-tensor.js';
import { type Field, fieldsOf, openMessage, textOf } from './protobuf.js';
import type { ShardOptions } from './safetensors-index.js';
import type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';

/**
 * Opens an ONNX model: its constants as tensors, and its nodes. `resolve` opens files of external data. Constants are initializers and what
 * Constant nodes give, those in bodies of If, Loop and Scan and in functions too, where each call of a function has its own. Names of a
 * function, and those that a graph has taken before, have the names of the nodes in front that they stand in.
 * @throws FormatError if it is not an ONNX model or contradicts the format; ReadError if a file of external data is missing
 * @example const file = await openOnnx(await byteSource('model.onnx'), { resolve: siblings('model.onnx') });
 */
export async function openOnnx(
  source: ByteSource,
  options: { readonly [Key in keyof ShardOptions]?: ShardOptions[Key] | undefined } = {},
): Promise<TensorFile> {
  checkSource(source, 'source');
  const { resolve, signal } = checkFound(options);
  const { name: file } = source;
  const message = openMessage(source, 'model', signal);
  const count = counter(file);
  const reading = { message, count, depth: 0 };
  const metadata: Record<string, unknown> = {};
  const functions: OnnxFunction[] = [];
  let found: Field | undefined;
  for await (const field of fieldsOf(message, { begin: 0, end: source.size })) {
    if (field.number === 1) metadata.ir_version = field.value;
    else if (field.number === 2) metadata.producer_name = await textOf(message, field);
    else if (field.number === 3) metadata.producer_version = await textOf(message, field);
    else if (field.number === 7) found = field;
    else if (field.number === 25) functions.push(await functionOf(reading, field));
  }
  if (!found || found.begin === found.end) throw new FormatError({ file, field: 'graph' }, 'a graph', 'none');
  const graph = await graphOf(reading, found);
  const { nodes, constants } = await layOut(graph, { message, functions, count });
  const place: Place = { source, resolve, opened: new Map() };
  const tensors = new Map<string, TensorInfo>();
  for (const head of constants) {
    await message.breathe();
    const info = await infoOf(head, place);
    if (info) tensors.set(head.name, info);
  }
  return { kind: 'onnx', name: file, metadata, tensors, nodes };
}
