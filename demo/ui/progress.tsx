// Progress of a running job with a button to cancel it. JobProblem shows its errors.
import { sentence } from '../app/sentence.js';
import type { RunningJob } from '../app/use-job.js';
import type { JobName } from '../worker/jobs.js';
import { Button } from './button.js';
import { Notice } from './notice.js';

type JobState = Pick<RunningJob<JobName>, 'status' | 'fraction' | 'doing' | 'error' | 'cancel'>;

/** @param label accessible name of the progress bar */
export function Progress({ job, label }: { readonly job: JobState; readonly label: string }) {
  const running = job.status.value === 'running';
  const fraction = job.fraction.value;
  return (
    <div class="progress" data-running={running ? '' : undefined}>
      {running && (
        <>
          <progress aria-label={label} max={1} {...(fraction !== undefined && { value: fraction })} />
          <Button kind="quiet" onClick={job.cancel}>
            Cancel
          </Button>
        </>
      )}
      <span class="progress-text" aria-live="polite">
        {running ? job.doing.value || 'Starting' : job.status.value === 'cancelled' ? 'Cancelled.' : ''}
      </span>
    </div>
  );
}

/** The error of the last run. */
export function JobProblem({ job, what }: { readonly job: JobState; readonly what: string }) {
  return (
    <div class="job-problem" role="alert">
      {job.status.value === 'failed' && <Notice kind="bad">{`${what} ${sentence(job.error.value)}`}</Notice>}
    </div>
  );
}
