// Copies tensors on the GPU.
import { BYTES, wholeWords } from '../dtype.js';
import { copySteps } from '../plan/copy-steps.js';
import { BUFFER, makeBuffer } from './buffers.js';
import { capsOf } from './device.js';
import { allTaken, guarded, type Taken } from './guard.js';
import { pipelineErrors } from './pipeline.js';
import { encodeInto, record, submit } from './recording.js';
import { scratch } from './scratch.js';

/** Copies rows of floats from anywhere in `buffer` to a new contiguous buffer. Enqueues. @throws UnsupportedError */
export function copyRows(
  device: GPUDevice,
  buffer: GPUBuffer,
  form: Parameters<typeof copySteps>[0],
): { readonly buffer: GPUBuffer; readonly written: Taken } {
  const what = 'contiguous';
  const { dispatches, scratch: sizes } = copySteps(form, capsOf(device));
  const rows = scratch(device, 'rows', sizes.rows!);
  const { result, errors } = guarded(device, what, () => {
    const y = makeBuffer(device, { label: what, usage: BUFFER.tensor, size: wholeWords(form.m * form.k * BYTES[form.xDtype]) });
    const own: Readonly<Record<string, GPUBuffer>> = { x: buffer, rows: rows.buffer, y };
    const recording = record(device, dispatches, (role) => own[role]!);
    submit(device, 'antiquant contiguous', (pass) => encodeInto(pass, recording));
    recording.uniforms.destroy();
    return y;
  });
  return { buffer: result, written: allTaken(rows.ready, pipelineErrors(device, dispatches), errors) };
}
