// How a sequence chooses its ids: the kernel of the choice, bound once for each of its variants, and what it needs of the prompt.
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { variantId } from '../kernels/kernel.js';
import { type Choosing, candidatesDispatch, pickDispatch } from '../llm-kernels/pick.js';
import { countsOf, penaltyUniforms } from '../llm-kernels/sampling.js';
import type { LlmDispatch } from '../llm-kernels/shaders.js';
import { STATE } from '../llm-kernels/state.js';
import { dispatchesOf, recordSteps, replay } from '../recorded/record-steps.js';
import { type Bound, bindDispatch, free } from './bind-steps.js';
import { type Dispatched, type StepPass, testDispatches } from './recordings.js';
import type { Submissions } from './submissions.js';

export class Choices {
  readonly #submissions: Submissions;
  /** By their variant, and the one that is under way. */
  readonly #bound = new Map<string, Bound>();
  #now: Bound | undefined;
  #destroyed = false;

  constructor(submissions: Submissions) {
    this.#submissions = submissions;
  }

  /**
   * Begins to choose ids on the GPU, behind a prompt.
   * @param prompt its ids
   * @throws ArgumentError, ShaderError, GpuError, DeviceLostError
   */
  async choose(how: Choosing, prompt: readonly number[]): Promise<void> {
    await this.#begin(pickDispatch(how, 'logits'), how, prompt, () => this.#submissions.write('state', new Uint32Array(STATE.ring)));
  }

  /** The same for a host that chooses among candidates. @throws ArgumentError, ShaderError, GpuError, DeviceLostError */
  async offer(how: Choosing, prompt: readonly number[]): Promise<void> {
    await this.#begin(candidatesDispatch(how), how, prompt);
  }

  /** What `replay` dispatches. */
  dispatched(): readonly Dispatched[] {
    return dispatchesOf(this.#now!.recorded).map(({ label }) => ({ of: 'choice', shader: label }));
  }

  /** Encodes the choice. */
  replay(pass: StepPass): void {
    replay(pass as GPUComputePassEncoder, this.#now!.recorded);
  }

  async #begin(dispatch: LlmDispatch, how: Choosing, prompt: readonly number[], begun?: () => void): Promise<void> {
    const submissions = this.#submissions;
    await testDispatches(submissions.device, [dispatch]);
    if (this.#destroyed) return;
    begun?.();
    this.#addBuffers(dispatch);
    submissions.write('choosing', new Uint32Array(dispatch.uniforms));
    this.#writePenalties(how, prompt);
    const id = variantId(dispatch.shader.name, dispatch.params);
    this.#now = this.#bound.get(id) ?? this.#bind(id, dispatch);
  }

  #writePenalties({ vocabulary, context, adjusting }: Choosing, prompt: readonly number[]): void {
    if (!adjusting) return;
    const submissions = this.#submissions;
    const { window } = penaltyUniforms(adjusting, context);
    submissions.make('buffers of a language model', () => {
      submissions.write('bias', adjusting.bias ?? new Float32Array(vocabulary));
      submissions.write('counts', countsOf(prompt, { window, length: vocabulary }));
      submissions.write('state', Uint32Array.from(prompt), 4 * STATE.list); // ids leave the window by their positions
    });
  }

  /** Makes the buffers that only some choices need. */
  #addBuffers({ bytes }: LlmDispatch): void {
    const { device, buffers } = this.#submissions;
    for (const [name, size] of Object.entries(bytes)) {
      if (buffers.has(name)) continue;
      const { result, errors } = this.#submissions.make('buffers of a language model', () =>
        makeBuffer(device, { label: `llm ${name}`, usage: BUFFER.output, size }),
      );
      buffers.set(name, result);
      errors.catch(() => {
        if (buffers.get(name) === result) buffers.delete(name); // made anew at the next try
        result.destroy();
      });
    }
  }

  #bind(id: string, dispatch: LlmDispatch): Bound {
    const { device, buffers } = this.#submissions;
    const { result, errors } = this.#submissions.make('the choice of a token', () => {
      const step = bindDispatch(device, dispatch, buffers.get('choosing')!, (name) => buffers.get(name)!);
      return { recorded: recordSteps(device, [step]), uniforms: [] };
    });
    this.#bound.set(id, result);
    errors.catch(() => {
      if (this.#bound.get(id) !== result) return;
      this.#bound.delete(id); // its buffers may be those that failed
      free(result);
    });
    return result;
  }

  destroy(): void {
    this.#destroyed = true;
    this.#bound.forEach(free);
    this.#bound.clear();
  }
}
