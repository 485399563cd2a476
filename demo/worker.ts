// The Worker: makes the inputs of a choice and their float64 reference, off the page's own thread. One answer for each question.
import { type HostTensor, type ReferenceResult, reference } from '../src/index.js';
import { type Choice, type Inputs, makeInputs, SCHEMES } from './example.js';

export interface Answer extends Inputs {
  readonly want: ReferenceResult;
  readonly milliseconds: number;
}
export type Reply = { readonly answer: Answer } | { readonly error: string };

/** The functional form, which the reference follows, has weight (K, N) and scales (G, N): the same bytes, read the other way round. */
function transposed(tensor: HostTensor): HostTensor {
  const [rows, columns] = tensor.shape;
  return columns === undefined ? tensor : { ...tensor, shape: [columns, rows!], strides: [1, columns] };
}

function answer(choice: Choice): Answer {
  const { x, tensors } = makeInputs(choice);
  const { weight, antiquantScale, antiquantOffset, quantScale } = tensors;
  const begin = performance.now();
  const want = reference(x, transposed(weight!), transposed(antiquantScale!), {
    antiquantGroupSize: SCHEMES[choice.scheme].groupSize,
    ...(antiquantOffset && { antiquantOffset: transposed(antiquantOffset) }),
    ...(quantScale && { quantScale }),
  });
  return { x, tensors, want, milliseconds: performance.now() - begin };
}

self.onmessage = ({ data }: MessageEvent<Choice>) => {
  let reply: Reply;
  try {
    reply = { answer: answer(data) };
  } catch (error) {
    reply = { error: (error as Error).message };
  }
  self.postMessage(reply);
};
