// Where the time of a token goes: its dispatches in many passes, each between two timestamps of the GPU. A pass holds the dispatches in a row that
// are of one kind, so that a token takes longer than in one pass. Browsers round timestamps to 0.1 ms: the mean of many tokens has no such steps.
import { UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer, USAGE } from '../gpu/buffers.js';
import { whileAlive } from '../gpu/device.js';
import type { Dispatched, StepPass } from './recordings.js';
import type { Submissions } from './submissions.js';

/** Dispatches of one kind, of all layers. */
export interface TimedPart extends Dispatched {
  /** In a token. */
  readonly dispatches: number;
  /** Milliseconds in a token. */
  readonly ms: number;
}

/** Times of tokens, by timestamps of the GPU. */
export interface Times {
  /** Milliseconds of a token whose dispatches are one pass, as when ids are chosen. */
  readonly ms: number;
  /** From the beginning of the first of many passes to the end of the last. */
  readonly passesMs: number;
  /** In order of their first dispatch. They leave out what lies between passes. */
  readonly parts: readonly TimedPart[];
}

export interface Timing {
  readonly submissions: Submissions;
  /** What `token` dispatches, in order. */
  readonly dispatches: readonly Dispatched[];
  /** Encodes a token. */
  readonly token: (pass: StepPass) => void;
  /** Is called before each submit. */
  readonly begin: () => void;
}

/** Tokens before the first that counts. */
const WARM_UP = 2;
/** WebGPU allows 4,096 queries in a set, of which a pass takes two. */
const MOST_PASSES = 2048;

const sameKind = (a: Dispatched | undefined, b: Dispatched): boolean => a?.of === b.of && a.shader === b.shader;

/** The timestamps of passes, and the buffers that they are read through. */
interface Clock {
  readonly set: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly staging: GPUBuffer;
}

function makeClock(device: GPUDevice, passes: number): Clock {
  const size = 16 * passes;
  return {
    set: device.createQuerySet({ label: 'llm times', type: 'timestamp', count: 2 * passes }),
    resolved: makeBuffer(device, { label: 'llm times', size, usage: USAGE.QUERY_RESOLVE | USAGE.COPY_SRC }),
    staging: makeBuffer(device, { label: 'llm times', size, usage: BUFFER.staging }),
  };
}

function free({ set, resolved, staging }: Clock): void {
  for (const one of [set, resolved, staging]) one.destroy();
}

/** A pass that is many: one for each run of dispatches, which `first` says the beginning of. */
function passesOf(encoder: GPUCommandEncoder, querySet: GPUQuerySet, first: (dispatch: number) => boolean): StepPass & { end(): void } {
  let pass: GPUComputePassEncoder | undefined;
  let pipeline: GPUComputePipeline | undefined;
  let groups: (readonly [number, GPUBindGroup | null])[] = [];
  let [passes, dispatches] = [0, 0];
  return {
    setPipeline(given) {
      pipeline = given;
      pass?.setPipeline(given);
    },
    setBindGroup(index: number, group: GPUBindGroup | null) {
      groups.push([index, group]);
    },
    dispatchWorkgroups(x, y, z) {
      if (first(dispatches++)) {
        pass?.end();
        const at = 2 * passes++;
        pass = encoder.beginComputePass({ timestampWrites: { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 } });
        pass.setPipeline(pipeline!);
      }
      for (const [index, group] of groups) pass!.setBindGroup(index, group);
      groups = [];
      pass!.dispatchWorkgroups(x, y, z);
    },
    end: () => pass?.end(),
  };
}

/** Submits a token in passes. @returns nanoseconds at the beginning and the end of each @throws as Submissions.settled, UnsupportedError */
async function timeOne(
  { submissions, token, begin }: Timing,
  clock: Clock,
  first: (dispatch: number) => boolean,
): Promise<BigInt64Array<ArrayBuffer>> {
  const { resolved, staging, set } = clock;
  begin();
  const began = performance.now();
  submissions.encode('times of a language model', (encoder) => {
    const pass = passesOf(encoder, set, first);
    token(pass);
    pass.end();
    encoder.resolveQuerySet(set, 0, set.count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, staging.size);
  });
  const mapped = staging.mapAsync(1 /* GPUMapMode.READ */);
  mapped.catch(() => {}); // what is not sound says more
  await submissions.settled();
  await whileAlive(submissions.device, mapped);
  const wall = performance.now() - began;
  const times = new BigInt64Array(staging.getMappedRange().slice(0));
  staging.unmap();
  checkTimes(times, wall);
  return times;
}

/** No pass ends before it begins, and all span at most what the clock does; browsers round both. @throws UnsupportedError */
function checkTimes(times: BigInt64Array, wall: number): void {
  const span = milliseconds(times, 0, times.length - 1);
  const falls = times.some((time, i) => i % 2 === 1 && time < times[i - 1]!);
  if (falls || span > 1.02 * wall + 0.2)
    throw new UnsupportedError('profile', [
      falls ? 'the timestamps of this adapter fall' : `its timestamps span ${span} ms, the clock ${wall} ms`,
    ]);
}

const milliseconds = (times: BigInt64Array, from: number, to: number): number => Number(times[to]! - times[from]!) / 1e6;

/**
 * Times tokens, each once in one pass and once in many.
 * @throws UnsupportedError if the device has no timestamps, if they and the clock disagree, or for more passes than there are queries; as
 *   Submissions.settled
 */
export async function timeTokens(timing: Timing, tokens: number): Promise<Times> {
  const { submissions, dispatches } = timing;
  const { device } = submissions;
  if (!device.features.has('timestamp-query')) throw new UnsupportedError('profile', ['the device has no timestamp-query']);
  const begins = dispatches.map((one, i) => !sameKind(dispatches[i - 1], one));
  const kinds = dispatches.filter((_, i) => begins[i]);
  if (kinds.length > MOST_PASSES)
    throw new UnsupportedError('profile', [`a token would be ${kinds.length} passes, more than ${MOST_PASSES}`]);
  const { result } = submissions.make('times of a language model', () => [makeClock(device, 1), makeClock(device, kinds.length)] as const);
  const [whole, parted] = result;
  let [ms, passesMs] = [0, 0];
  const inPass = new Float64Array(kinds.length);
  try {
    for (let i = -WARM_UP; i < tokens; i++) {
      const one = await timeOne(timing, whole, (dispatch) => dispatch === 0);
      const many = await timeOne(timing, parted, (dispatch) => begins[dispatch]!);
      if (i < 0) continue;
      ms += milliseconds(one, 0, 1) / tokens;
      passesMs += milliseconds(many, 0, many.length - 1) / tokens;
      for (let pass = 0; pass < kinds.length; pass++) inPass[pass]! += milliseconds(many, 2 * pass, 2 * pass + 1) / tokens;
    }
  } finally {
    for (const clock of result) free(clock);
  }
  const parts = new Map<string, { -readonly [Key in keyof TimedPart]: TimedPart[Key] }>();
  const key = ({ of, shader }: Dispatched): string => `${of} ${shader}`;
  for (const one of dispatches) {
    const known = parts.get(key(one));
    if (known) known.dispatches++;
    else parts.set(key(one), { ...one, dispatches: 1, ms: 0 });
  }
  kinds.forEach((kind, pass) => {
    parts.get(key(kind))!.ms += inPass[pass]!;
  });
  return { ms, passesMs, parts: [...parts.values()] };
}
