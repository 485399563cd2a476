// The panel "Your GPU, measured": this library, onnxruntime-web, a dense product and the limits of the machine, timed in turns.
import { signal } from '@preact/signals';
import { queryOf } from '../../app/url-state.js';
import { makeJob } from '../../app/use-job.js';
import { device } from '../../app/worker.js';
import { Button } from '../../ui/button.js';
import { CopyButton } from '../../ui/copy-button.js';
import { Notice } from '../../ui/notice.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import type { Measured } from './jobs/index.js';
import './bench.css';
import { settings } from './choices.js';
import { Form } from './form.js';
import { Result } from './result.js';
import { download, savedOf } from './save.js';
import { Tuned } from './tuned.js';

/** Module state: a run continues while the panel is hidden. */
const run = makeJob('bench.run');
const tuning = makeJob('bench.tune');
const forgetting = makeJob('bench.forget');
const measured = signal<Measured | undefined>(undefined);
/** URL of the settings of `measured`. */
const address = signal('');
const forgotten = signal(false);
/** Milliseconds of measuring for each number of rows. */
const TUNE_MS = 800;
/** The job whose progress is shown. */
const latest = signal<typeof run | typeof tuning>(run);

const linkNow = (): string => new URL(queryOf('bench'), location.href).href;
const brand = (): string =>
  /(?:Edg|Chrome|Firefox|Version)\/[\d.]+/.exec(navigator.userAgent)?.[0]?.replace('/', ' ') ?? navigator.userAgent;

function measure(): void {
  address.value = linkNow();
  measured.value = undefined;
  latest.value = run;
  const keep = (value: Measured): void => {
    measured.value = value;
  };
  const args = { settings: settings.peek(), folder: new URL('./ort/', location.href).href, engine: brand() };
  void run.run(args, { onPart: keep }).then((result) => result && keep(result));
}
function tune(): void {
  forgotten.value = false;
  latest.value = tuning;
  void tuning.run({ ...settings.peek(), budget: TUNE_MS });
}
const forget = (): void =>
  void forgetting.run(null).then((count) => {
    forgotten.value = count !== undefined;
  });

export default function Panel() {
  const running = [run, tuning, forgetting].some((job) => job.status.value === 'running');
  const now = measured.value;
  const tuned = forgotten.value ? undefined : tuning.result.value;
  const stopped = now && run.status.value !== 'done' && run.status.value !== 'running';
  if (device.value.state === 'none' && !now) {
    return (
      <Notice kind="info">
        Timing needs WebGPU, which this browser lacks. The panel <a href={queryOf('operator')}>Operator</a> runs the CPU reference.
      </Notice>
    );
  }
  return (
    <div class="stack">
      <Form running={running} onRun={measure} onTune={tune} />
      <div>
        {latest.value === run ? (
          <Progress key="run" job={run} label="The measurement" />
        ) : (
          <Progress key="tune" job={tuning} label="Tuning" />
        )}
        <JobProblem job={run} what="The measurement did not finish." />
        <JobProblem job={tuning} what="Tuning did not finish." />
        <JobProblem job={forgetting} what="The choices could not be deleted." />
        <div role="status">{forgotten.value && <Notice kind="good">All tuned choices of this adapter are deleted.</Notice>}</div>
      </div>
      {tuned && <Tuned result={tuned} busy={running} onForget={forget} />}
      {!now && run.status.value === 'idle' && <Before />}
      {now && (
        <>
          {stopped && <Notice kind="info">The run did not finish. These are the results until then.</Notice>}
          <Result measured={now} />
          <p class="bench-take">
            <Button
              onClick={() => download(`antiquant-${now.date.slice(0, 19).replaceAll(':', '-')}.json`, savedOf(now, address.peek(), tuned))}
            >
              Save as JSON
            </Button>
            <CopyButton text={address.value} label="Copy the link to these settings" />
          </p>
        </>
      )}
    </div>
  );
}

const Before = () => (
  <p class="bench-before">
    All contenders multiply the same x with the same weights on this machine, in turns. Answers are checked against the reference before
    timing. Two more kernels measure the machine’s limits: how fast it copies, and how fast it multiplies and adds. Nothing is uploaded.
  </p>
);
