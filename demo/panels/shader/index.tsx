// The panel "What runs": the plan of a product with its reasons, every dispatch, and the exact WGSL with the origin of each line.
import { useEffect } from 'preact/hooks';
import './shader.css';
import { Button } from '../../ui/button.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { CompileTime } from './compile.js';
import { DevicePart } from './device.js';
import { Form } from './form.js';
import { Kernels, PlanFacts } from './plan.js';
import { Source } from './source.js';
import { changed, follow, plan, shown, source } from './state.js';
import { StepDetails, Steps } from './steps.js';

export default function Panel() {
  useEffect(follow, []);
  const planned = plan.status.value === 'failed' ? undefined : plan.result.value;
  const text = source.result.value;
  if (shown.value !== '') return <OneShader />;
  return (
    <>
      <Form />
      <JobProblem job={plan} what="There is no plan for this." />
      {!planned && <Progress job={plan} label="The plan" />}
      {!planned && plan.status.value === 'idle' && <p class="dim">The plan appears once the browser has opened a GPU device.</p>}
      {planned && (
        <div class="shader-top">
          <div class="stack">
            <div class="card stack">
              <PlanFacts planned={planned} />
              {planned.dispatches.length > 0 && <Steps planned={planned} />}
            </div>
            {text && (
              <div class="card">
                <CompileTime />
              </div>
            )}
          </div>
          <div class="card">
            <Kernels planned={planned} />
          </div>
        </div>
      )}
      {planned && <JobProblem job={source} what="There is no text for this." />}
      {planned && text && (
        <>
          <div class="card">
            <Source key={text.id} text={text} />
          </div>
          <div class="card">
            <StepDetails planned={planned} />
          </div>
        </>
      )}
      {planned && (
        <div class="card">
          <DevicePart planned={planned} />
        </div>
      )}
    </>
  );
}

/** A shader that a link names: its text and its compile time, without a product around it. */
function OneShader() {
  const text = source.status.value === 'failed' ? undefined : source.result.value;
  return (
    <>
      <div class="card stack">
        <p>This shader is a part of what runs for something else, such as a token of a language model.</p>
        <p>
          <Button
            onClick={() => {
              shown.value = '';
              changed();
            }}
          >
            Plan a product instead
          </Button>
        </p>
      </div>
      <JobProblem job={source} what="There is no text for this." />
      {text && (
        <>
          <div class="card">
            <CompileTime />
          </div>
          <div class="card">
            <Source key={text.id} text={text} />
          </div>
        </>
      )}
    </>
  );
}
