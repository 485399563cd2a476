// The recorded steps of a sequence: of a token, of the head, and of each class of rows of a prompt. They are tested before they count.
import { ShaderError } from '../errors.js';
import { loadOwn } from '../gpu/own-file.js';
import { type LlmDispatch, stepWords } from '../llm-kernels/shaders.js';
import { dispatchesOf, replay } from '../recorded/record-steps.js';
import { type Bound, bindSteps, free, type Names, prepareOperator } from './bind-steps.js';
import { headSteps, nameOf, type Planning, type PlanStep, promptSteps, rowSteps, tokenSteps } from './step-plan.js';
import type { Submissions } from './submissions.js';
import type { Tensors } from './tensors.js';

/** A variant that fails its self-test is replaced by the next. */
const MOST_TRIES = 8;

/** What is recorded; a number is a class of rows of a prompt, of which 1 leaves its residual where a token does. */
export type Part = 'token' | 'head' | number;

/** A dispatch of a step. */
export interface Dispatched {
  /** What the step is: `qkv`, `attend`, `norm`; of every layer the same. */
  readonly of: string;
  /** Variant of the shader. */
  readonly shader: string;
}

/** What a pass must have for steps to be encoded. */
export type StepPass = Pick<GPUComputePassEncoder, 'setPipeline' | 'setBindGroup' | 'dispatchWorkgroups'>;

/** Tests kernels of shaders/llm; the operator tests its own. @throws ShaderError, which names the kernel */
export async function testDispatches(device: GPUDevice, dispatches: readonly LlmDispatch[]): Promise<void> {
  const { testKernels } = await loadOwn('the self-test', () => import('./test-kernels.js'));
  await testKernels(device, dispatches);
}

export class Recordings {
  readonly #submissions: Submissions;
  readonly #planning: Omit<Planning, 'capacity'>;
  readonly #names: Omit<Names, 'tensors'>;
  /** Tensors of a token, and of rows of a prompt. */
  readonly #tensors: { readonly token: Tensors; readonly rows: Tensors };
  readonly #bound = new Map<Part, Bound>();
  /** Positions of the cache that all but the head are recorded for. */
  #capacity = 0;
  #destroyed = false;

  constructor(
    submissions: Submissions,
    planning: Omit<Planning, 'capacity'>,
    names: Omit<Names, 'tensors'>,
    tensors: { readonly token: Tensors; readonly rows: Tensors },
  ) {
    this.#submissions = submissions;
    this.#planning = planning;
    this.#names = names;
    this.#tensors = tensors;
  }

  #planOf(part: Part, capacity = this.#capacity): readonly PlanStep[] {
    const planning = { ...this.#planning, capacity };
    if (part === 'token') return tokenSteps(planning);
    if (part === 1) return rowSteps(planning);
    return part === 'head' ? headSteps(planning.config, planning.caps) : promptSteps(planning, part);
  }

  async #tested(part: Part, capacity?: number): Promise<void> {
    const dispatches = this.#planOf(part, capacity).flatMap((step) => ('dispatch' in step ? [step.dispatch] : []));
    await testDispatches(this.#submissions.device, dispatches);
  }

  #namesOf(part: Part): Names {
    return { ...this.#names, tensors: rowsOf(part) === undefined ? this.#tensors.token : this.#tensors.rows };
  }

  #bind(part: Part): Bound {
    const names = this.#namesOf(part);
    return this.#submissions.make('steps of a language model', () => bindSteps(this.#planOf(part), names, rowsOf(part))).result;
  }

  /**
   * Records steps unless they are. At first they run once while no sequence does, which changes nothing but tests their kernels: planning
   * replaces what fails.
   * @throws UnsupportedError, ShaderError, GpuError, DeviceLostError
   */
  async prepare(part: Part): Promise<void> {
    if (this.#bound.has(part)) return;
    await Promise.all([this.#tested(part), prepareOperator(this.#planOf(part), this.#namesOf(part), rowsOf(part))]);
    if (this.#destroyed) return;
    const submissions = this.#submissions;
    for (let tries = 1; ; tries++) {
      const bound = this.#bind(part);
      try {
        submissions.write('now', stepWords({ running: 0, position: 0, rows: 0 }));
        submissions.submit((pass) => encode(pass, bound, part));
        await submissions.settled();
        if (this.#destroyed) return free(bound);
        this.#bound.set(part, bound);
        return;
      } catch (error) {
        submissions.begin();
        free(bound);
        if (!(error instanceof ShaderError) || tries === MOST_TRIES) throw error;
      }
    }
  }

  /** Encodes steps that are recorded. */
  replay(pass: StepPass, part: Part): void {
    encode(pass, this.#bound.get(part)!, part);
  }

  /** What `replay` of a token dispatches, in order. */
  ofToken(): readonly Dispatched[] {
    const plan = this.#planOf('token');
    return dispatchesOf(this.#bound.get('token')!.recorded).map(({ label, step }) => ({ of: nameOf(plan[step]!), shader: label }));
  }

  /** Tests what a token will run with a larger cache, which may be other kernels. @throws ShaderError */
  async testLarger(capacity: number): Promise<void> {
    if (this.#bound.has('token')) await this.#tested('token', capacity);
  }

  /** Takes another cache: the steps of a token are recorded anew, those of a prompt when they are needed. */
  recache(capacity: number): void {
    this.#capacity = capacity;
    const again = this.#bound.has('token');
    for (const [part, bound] of this.#bound)
      if (part !== 'head') {
        free(bound);
        this.#bound.delete(part);
      }
    if (again) this.#bound.set('token', this.#bind('token'));
  }

  destroy(): void {
    this.#destroyed = true;
    for (const bound of this.#bound.values()) free(bound);
    this.#bound.clear();
  }
}

/** What is recorded for a number of rows; one row is a token's. */
const rowsOf = (part: Part): number | undefined => (typeof part === 'number' && part > 1 ? part : undefined);

const encode = (pass: StepPass, { recorded }: Bound, part: Part): void => replay(pass as GPUComputePassEncoder, recorded, rowsOf(part));
