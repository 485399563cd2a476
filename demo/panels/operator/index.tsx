// The panel "Operator": one product on the CPU reference and on the GPU, and the difference.
import { effect } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import './operator.css';
import { Notice } from '../../ui/notice.js';
import { JobProblem } from '../../ui/progress.js';
import { Controls } from './controls.js';
import { Result } from './result.js';
import { job, problem, same, wanted } from './state.js';

export default function Panel() {
  // The first display and any change of a control start a run. A refused choice cancels it.
  useEffect(
    () =>
      effect(() => {
        const choice = wanted.value;
        if (problem.value) job.cancel();
        else if (!same(job.result.peek()?.choice, choice)) void job.run(choice);
      }),
    [],
  );
  const result = job.result.value;
  const refused = problem.value;
  return (
    <>
      <Controls />
      <div class="job-problem" role="status">
        {refused && (
          <Notice kind="warn">
            {`Nothing runs. ${refused.library ? 'The library refuses this: ' : ''}${refused.text}`}
            {result && ' Below is the last product that ran.'}
          </Notice>
        )}
      </div>
      {!refused && <JobProblem job={job} what="The run did not finish." />}
      {result && <Result result={result} />}
    </>
  );
}
