// How far a job is, what it does, and a button to cancel it; nothing while it does not run. Errors of the job are told by JobProblem.
import { sentence } from '../app/sentence.js';
import type { RunningJob } from '../app/use-job.js';
import type { JobName } from '../worker/jobs.js';
import { Button } from './button.js';
import { Notice } from './notice.js';

type JobState = Pick<RunningJob<JobName>, 'status' | 'fraction' | 'doing' | 'error' | 'cancel'>;

/** @param label what runs, for those who hear it */
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

/** Why the last run gave nothing. */
export function JobProblem({ job, what }: { readonly job: JobState; readonly what: string }) {
  return (
    <div class="job-problem" role="alert">
      {job.status.value === 'failed' && <Notice kind="bad">{`${what} ${sentence(job.error.value)}`}</Notice>}
    </div>
  );
}
