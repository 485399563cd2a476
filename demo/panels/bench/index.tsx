// The panel "Your GPU, measured": this library, onnxruntime-web, a dense product and the limits of the machine, timed in turns.
import { signal } from '@preact/signals';
import { queryOf } from '../../app/url-state.js';
import { makeJob } from '../../app/use-job.js';
import { device } from '../../app/worker.js';
import { Button } from '../../ui/button.js';
import { CopyButton } from '../../ui/copy-button.js';
import { Notice } from '../../ui/notice.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import type { DeviceFacts } from '../../worker/rpc.js';
import type { Measured } from './jobs/index.js';
import './bench.css';
import { llmSettings, settings, withLlm, withProducts } from './choices.js';
import { Form } from './form.js';
import type { LlmMeasured } from './jobs/llm-settings.js';
import { Known } from './known.js';
import { LanguageModel } from './llm.js';
import { reportOf } from './report.js';
import { Result } from './result.js';
import { download, savedOf } from './save.js';
import { Tuned } from './tuned.js';

/** Module state: a run continues while the panel is hidden. */
const run = makeJob('bench.run');
const llmRun = makeJob('bench.llm');
const tuning = makeJob('bench.tune');
const forgetting = makeJob('bench.forget');
const measured = signal<Measured | undefined>(undefined);
const llm = signal<LlmMeasured | undefined>(undefined);
/** URL of the settings of `measured` and `llm`. */
const address = signal('');
const forgotten = signal(false);
/** Milliseconds of measuring for each number of rows. */
const TUNE_MS = 800;
/** The job whose progress is shown. */
const latest = signal<typeof run | typeof llmRun | typeof tuning>(run);

const linkNow = (): string => new URL(queryOf('bench'), location.href).href;
const brand = (): string =>
  /(?:Edg|Chrome|Firefox|Version)\/[\d.]+/.exec(navigator.userAgent)?.[0]?.replace('/', ' ') ?? navigator.userAgent;

/** The language model first, which takes seconds; then the products. A cancel ends both. */
async function measure(): Promise<void> {
  address.value = linkNow();
  measured.value = llm.value = undefined;
  const folder = (name: string): string => new URL(`./${name}/`, location.href).href;
  const args = { settings: settings.peek(), folder: folder('ort'), engine: brand() };
  const products = withProducts.peek();
  if (withLlm.peek()) {
    latest.value = llmRun;
    const found = await llmRun.run({ ...llmSettings.peek(), folder: folder('wllama') });
    if (found) llm.value = found;
    else if (llmRun.status.peek() !== 'failed') return;
  }
  if (!products) return;
  latest.value = run;
  const keep = (value: Measured): void => {
    measured.value = value;
  };
  const result = await run.run(args, { onPart: keep });
  if (result) keep(result);
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

/** All that is measured as Markdown. */
function report(): string {
  const { state, ...now } = device.peek() as { readonly state: string; readonly facts: DeviceFacts };
  const [products, model] = [measured.peek(), llm.peek()];
  return reportOf({
    facts: now.facts,
    userAgent: navigator.userAgent,
    versions: { ...model?.versions, ...products?.versions },
    date: (products ?? model)!.date,
    link: address.peek(),
    isolated: globalThis.crossOriginIsolated,
    llm: model,
    products,
    tuned: forgotten.peek() ? undefined : tuning.result.peek(),
  });
}

const JOBS = [llmRun, run, tuning, forgetting];
const LABELS = new Map<unknown, string>([
  [run, 'The measurement'],
  [llmRun, 'The language model'],
  [tuning, 'Tuning'],
]);

export default function Panel() {
  const running = JOBS.some((job) => job.status.value === 'running');
  const now = measured.value;
  const model = llm.value;
  const tuned = forgotten.value ? undefined : tuning.result.value;
  const stopped = now && run.status.value !== 'done' && run.status.value !== 'running';
  if (device.value.state === 'none' && !now && !model) {
    return (
      <Notice kind="info">
        Timing needs WebGPU, which this browser lacks. The panel <a href={queryOf('operator')}>Operator</a> runs the CPU reference.
      </Notice>
    );
  }
  const shown = latest.value;
  return (
    <div class="stack">
      <Form running={running} onRun={() => void measure()} onTune={tune} />
      <div class="job">
        <Progress key={LABELS.get(shown)} job={shown} label={LABELS.get(shown)!} />
        <JobProblem job={llmRun} what="The language model was not measured." />
        <JobProblem job={run} what="The measurement did not finish." />
        <JobProblem job={tuning} what="Tuning did not finish." />
        <JobProblem job={forgetting} what="The choices could not be deleted." />
        <div role="status">{forgotten.value && <Notice kind="good">All tuned choices of this adapter are deleted.</Notice>}</div>
      </div>
      {tuned && <Tuned result={tuned} busy={running} onForget={forget} />}
      {!now && !model && !running && <Known />}
      {model && <LanguageModel measured={model} />}
      {now && (
        <>
          {stopped && <Notice kind="info">The run did not finish. These are the results until then.</Notice>}
          <Result measured={now} />
        </>
      )}
      {(now ?? model) && device.value.state === 'ready' && (
        <section class="card stack" aria-labelledby="bench-report-title">
          <h3 id="bench-report-title">Tell others</h3>
          <p class="bench-take">
            <CopyButton kind="primary" text={report} label="Copy a report" />
            <Button
              onClick={() =>
                download(
                  `antiquant-${(now ?? model)!.date.slice(0, 19).replaceAll(':', '-')}.json`,
                  savedOf(now, { link: address.peek(), tuned, llm: model }),
                )
              }
            >
              Save as JSON
            </Button>
            <CopyButton text={address.value} label="Copy the link to these settings" />
          </p>
          <small>
            The report is Markdown: adapter, features, browser, versions, and every figure with its conditions, to paste into an{' '}
            {import.meta.env.BUGS ? <a href={import.meta.env.BUGS}>issue</a> : 'issue'}. Nothing is sent by this page.
          </small>
          <details>
            <summary>See the report</summary>
            <ReportText />
          </details>
        </section>
      )}
    </div>
  );
}

/** Follows what is measured. */
function ReportText() {
  void [measured.value, llm.value, tuning.result.value, device.value];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
    <pre class="bench-report" tabIndex={0}>
      {report()}
    </pre>
  );
}
