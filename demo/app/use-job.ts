// A panel's job as signals: progress, result and error. Starting it again cancels the run before.
import { type ReadonlySignal, signal } from '@preact/signals';
import type { JobArgs, JobName, JobPart, JobResult } from '../worker/jobs.js';
import { isAbort } from '../worker/rpc.js';
import { call } from './worker.js';

export interface RunningJob<Name extends JobName> {
  readonly status: ReadonlySignal<'idle' | 'running' | 'done' | 'failed' | 'cancelled'>;
  /** Progress from 0 to 1; undefined if unknown. */
  readonly fraction: ReadonlySignal<number | undefined>;
  /** The current step in a few words. */
  readonly doing: ReadonlySignal<string>;
  /** Result of the last successful run; it stays while the next one runs. */
  readonly result: ReadonlySignal<JobResult<Name> | undefined>;
  readonly error: ReadonlySignal<unknown>;
  /** Resolves with the result, or with undefined if it failed or was cancelled (`status` and `error` say which). Never rejects. */
  run(args: JobArgs<Name>, options?: JobOptions<Name>): Promise<JobResult<Name> | undefined>;
  cancel(): void;
}
export interface JobOptions<Name extends JobName> {
  readonly onPart?: (value: JobPart<Name>) => void;
  readonly transfer?: readonly Transferable[];
}

/** For use outside of components, or for a job that continues while its panel is hidden. */
export function makeJob<Name extends JobName>(name: Name): RunningJob<Name> {
  const status = signal<'idle' | 'running' | 'done' | 'failed' | 'cancelled'>('idle');
  const fraction = signal<number | undefined>(undefined);
  const doing = signal('');
  const result = signal<JobResult<Name> | undefined>(undefined);
  const error = signal<unknown>(undefined);
  let control: AbortController | undefined;

  return {
    status,
    fraction,
    doing,
    result,
    error,
    cancel: () => control?.abort(new DOMException('The run was cancelled', 'AbortError')),
    run: async (args, options = {}) => {
      control?.abort(new DOMException('Another run took its place', 'AbortError'));
      const mine = new AbortController();
      control = mine;
      status.value = 'running';
      fraction.value = undefined;
      doing.value = '';
      error.value = undefined;
      try {
        const got = await call(name, args, {
          ...options,
          signal: mine.signal,
          onProgress: (share, text) => {
            fraction.value = share;
            doing.value = text;
          },
        });
        if (control !== mine) return undefined;
        result.value = got;
        status.value = 'done';
        return got;
      } catch (thrown) {
        if (control !== mine) return undefined;
        error.value = thrown;
        status.value = isAbort(thrown) ? 'cancelled' : 'failed';
        return undefined;
      } finally {
        if (control === mine) control = undefined;
      }
    },
  };
}
