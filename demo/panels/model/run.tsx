// Runs the chosen layer: x from a seed, the GPU's y against the reference, the time, and the kernel.
import type { HeldWeights } from '../../../src/layer/explain.js';
import { widthOf } from '../../../src/problem/code-width.js';
import { Button } from '../../ui/button.js';
import { CodeView } from '../../ui/code-view.js';
import { type Fact, Facts } from '../../ui/facts.js';
import { NumberField, Segmented } from '../../ui/fields.js';
import { Notice } from '../../ui/notice.js';
import { milliseconds, short, whole } from '../../ui/numbers.js';
import { PanelLink } from '../../ui/panel-link.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { Table } from '../../ui/table.js';
import type { LayerRun } from './jobs/run.js';
import type { Target } from './jobs/weights.js';
import { wordsOf } from './requantize.js';
import { dtype, m, ROWS, run, running, SCALES, seed, target } from './state.js';

export function Run({ kind }: { readonly kind: Target['kind'] }) {
  const shown = running.result.value;
  const mine = shown && JSON.stringify(shown.args.target) === JSON.stringify(target.value) ? shown : undefined;
  return (
    <section class="card stack" aria-labelledby="run-title">
      <h3 id="run-title">Run it</h3>
      <p>
        {kind === 'layer'
          ? 'The layer is read from the file onto the GPU and multiplied with random x; every element is compared with the reference on the CPU.'
          : 'The matrix is quantized with the settings above, put onto the GPU and multiplied with random x; every element is compared with the reference on the CPU.'}
      </p>
      <form
        class="controls"
        onSubmit={(event) => {
          event.preventDefault();
          run();
        }}
      >
        <Segmented label="Rows of x (m)" value={m} options={ROWS.map((value) => ({ value, label: String(value) }))} />
        <Segmented label="dtype of x and y" value={dtype} options={SCALES.map((value) => ({ value, label: value }))} />
        <NumberField label="Seed of x" value={seed} min={0} max={2 ** 31 - 1} />
        <Button kind="primary" type="submit">
          Run
        </Button>
      </form>
      <div class="job">
        <Progress job={running} label="Running the layer" />
        <JobProblem job={running} what="The run did not finish." />
      </div>
      {mine && <Result result={mine} />}
    </section>
  );
}

function Result({ result }: { readonly result: LayerRun }) {
  const { args, n, k, gpu, noGpu, bias } = result;
  return (
    <div class="stack" data-inside={gpu?.difference.inside} data-count={gpu?.difference.count} data-error={gpu?.difference.error}>
      <p class="mono">
        x ({args.m}, {k}) · W ({n}, {k})ᵀ{bias ? ' + bias' : ''} → y ({args.m}, {n}) {args.dtype}
        {args.target.kind === 'float' && `; W as ${wordsOf(args.settings)}`}
      </p>
      <div role="status">
        {gpu ? (
          <Notice kind={gpu.difference.inside === gpu.difference.count ? 'good' : 'bad'}>
            {gpu.difference.inside === gpu.difference.count
              ? `All ${whole(gpu.difference.count)} elements are inside their intervals.`
              : `${whole(gpu.difference.count - gpu.difference.inside)} of ${whole(gpu.difference.count)} elements are outside their intervals.`}
          </Notice>
        ) : (
          <Notice kind="info">{`Not run on a GPU: only the CPU reference ran. ${noGpu}.`}</Notice>
        )}
      </div>
      <div class="columns" style={{ '--least': '24rem' }}>
        <Facts items={factsOf(result)} />
        <Table
          caption="First elements of y and their intervals"
          columns={[
            { title: 'm, n' },
            ...['Reference', 'Low', 'High', ...(gpu ? ['WebGPU'] : [])].map((title) => ({ title, numeric: true })),
          ]}
          rows={result.first.map((values, i) => [`0, ${i}`, ...values.map((value) => value.toFixed(5))])}
        />
      </div>
      {gpu && (
        <details>
          <summary>WGSL that ran</summary>
          <CodeView title={`WGSL of ${gpu.plan.kernel}`} code={gpu.plan.wgsl} />
        </details>
      )}
    </div>
  );
}

const bitsOf = ({ bitsPerWeight }: HeldWeights): string => `${bitsPerWeight.toFixed(2)} in GPU memory`;

const heldOf = ({ fileBits }: LayerRun, { bits, held, scaleDtype }: HeldWeights): string =>
  [
    ...(fileBits === undefined ? [] : [`${fileBits.toFixed(2)} in the file`]),
    held === bits ? `codes of ${bits}` : `codes of ${bits} held in ${held}, which is faster here`,
    `scales as ${scaleDtype}`,
  ].join('; ');

function factsOf(result: LayerRun): Fact[] {
  const { gpu, referenceTime } = result;
  const reference: Fact = ['Reference', milliseconds(referenceTime), 'on the CPU'];
  if (!gpu) return [reference];
  const { difference: found, time, plan, software, loadTime } = gpu;
  const row = time.inARow ? `; ${time.inARow.calls} calls in a row, ${short(time.inARow.each)} ms each` : '';
  return [
    [
      'Largest error',
      <strong key="error">{short(found.error)}</strong>,
      `rounding alone: ${short(found.rounding)}. The largest |y| is ${short(found.size)}. ${whole(found.equal)} of ${whole(found.count)} elements equal the rounded reference.`,
    ],
    [
      'Time',
      <strong key="time">{milliseconds(time.median)}</strong>,
      `${software ? 'on the CPU (software adapter), ' : ''}median of ${time.runs}${row}`,
    ],
    ['Bits a weight', bitsOf(plan.weights), heldOf(result, plan.weights)],
    ['Loading', milliseconds(loadTime), 'from the file onto the GPU, compiling included'],
    reference,
    [
      'Kernel',
      <code key="kernel">{plan.kernel}</code>,
      <>
        <code>
          {Object.entries(plan.params)
            .map(([name, value]) => `${name}=${value}`)
            .join(' ')}
        </code>
        <ul class="model-why">
          {plan.why.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        <WhatRuns result={result} />
      </>,
    ],
  ];
}

/** A link to the panel "What runs" with a product of this shape. It opens inside the page, so that the file stays open. */
function WhatRuns({ result: { args, n, k, bits, groupSize, form, permuted, inputScaled, bias } }: { readonly result: LayerRun }) {
  const codes = { symmetric: 'number', 'zero points': 'number', minimums: 'minimum', codebook: 'codebook', floats: 'float' }[form];
  const state = {
    m: args.m,
    n,
    k,
    bits: widthOf(bits).slot, // the panel knows torch's widths
    ...(groupSize === k ? { mode: 'channel' } : { mode: 'group', group: groupSize }),
    dtype: args.dtype,
    codes,
    offset: form === 'zero points',
    bias,
    order: permuted,
    scaled: inputScaled,
  };
  return (
    <PanelLink panel="shader" state={state}>
      What runs for a product of this shape
    </PanelLink>
  );
}
