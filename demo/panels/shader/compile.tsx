// Shows the time that this device takes to compile the text.
import { device } from '../../app/worker.js';
import { Button } from '../../ui/button.js';
import { Facts } from '../../ui/facts.js';
import { Notice } from '../../ui/notice.js';
import { milliseconds } from '../../ui/numbers.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import type { Times } from './jobs/compile.js';
import { compilation, measure, otherDevice, source } from './state.js';

export function CompileTime() {
  const ready = device.value.state !== 'none';
  const found = compilation.result.value;
  const mine = found && found.id === source.result.value?.id && compilation.status.value !== 'failed' ? found : undefined;
  const software = device.value.state === 'ready' && device.value.facts.caps.software;
  return (
    <section class="stack compile" aria-labelledby="compile-title" data-compiled={mine?.id}>
      <div class="compile-head">
        <h3 id="compile-title">Compile time</h3>
        {ready && (
          <Button kind="quiet" onClick={measure} disabled={compilation.status.value === 'running'}>
            Measure again
          </Button>
        )}
      </div>
      {ready ? (
        <>
          <Progress job={compilation} label="Compiling" />
          <JobProblem job={compilation} what="This text did not compile here." />
          {mine && (
            <Facts
              items={[
                ['Cold', <strong key="cold">{milliseconds(mine.cold.median)}</strong>, parts(mine.cold, mine.runs)],
                ['Warm', <strong key="warm">{milliseconds(mine.warm.median)}</strong>, parts(mine.warm, mine.runs)],
              ]}
            />
          )}
          <small>
            On this device{otherDevice.value ? ', though the plan is for another' : ''}
            {software ? ', a software adapter' : ''}. Cold: the text with a new comment, so that the browser’s caches do not help; a
            driver’s cache of machine code still may. Warm: the unchanged text, compiled again.
          </small>
        </>
      ) : (
        <Notice kind="info">There is no GPU here to compile for.</Notice>
      )}
    </section>
  );
}

const parts = ({ least, most, at }: Times, runs: number): string =>
  `median of ${runs}, ${milliseconds(least)} to ${milliseconds(most)}; reading and checking the text ${milliseconds(at.module)}, the pipeline ${milliseconds(at.pipeline)}`;
