// Quantizes the chosen layer again: settings, and a row with error and size for each attempt.
import { CODE_WIDTHS } from '../../../src/problem/code-width.js';
import { Button } from '../../ui/button.js';
import { Segmented, SelectField, Toggle } from '../../ui/fields.js';
import { bytes, milliseconds, short } from '../../ui/numbers.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { Table } from '../../ui/table.js';
import type { Requantized } from './jobs/index.js';
import type { Settings, Target } from './jobs/weights.js';
import { attempts, bits, GROUPS, groups, METHODS, method, requantize, requantizing, SCALES, scaleDtype, symmetric } from './state.js';

const LABELS: Readonly<Record<(typeof GROUPS)[number], string>> = {
  tensor: 'the whole matrix',
  channel: 'each output',
  '32': '32 inputs',
  '64': '64 inputs',
  '128': '128 inputs',
  '256': '256 inputs',
};

export function Requantize({ kind }: { readonly kind: Target['kind'] }) {
  return (
    <section class="card stack" aria-labelledby="requantize-title">
      <h3 id="requantize-title">Quantize it anew</h3>
      <p>
        {kind === 'layer'
          ? 'The weights of the file’s codes are quantized again. The ratio is signal to the noise of this second quantization.'
          : 'The file’s floats are quantized. The ratio is signal to the noise of quantizing.'}
      </p>
      <form
        class="controls"
        onSubmit={(event) => {
          event.preventDefault();
          void requantize();
        }}
      >
        <Segmented label="Bits" value={bits} options={CODE_WIDTHS.map(({ bits, name }) => ({ value: bits, label: name }))} />
        <SelectField label="One scale for" value={groups} options={GROUPS.map((value) => ({ value, label: LABELS[value] }))} />
        <Segmented label="Method" value={method} options={METHODS.map((value) => ({ value, label: value }))} />
        <SelectField label="dtype of scales" value={scaleDtype} options={SCALES.map((value) => ({ value, label: value }))} />
        <Toggle label="Symmetric" value={symmetric} disabled={method.value === 'hqq'} />
        <Button kind="primary" type="submit">
          Quantize
        </Button>
      </form>
      <div class="job">
        <Progress job={requantizing} label="Quantizing the layer" />
        <JobProblem job={requantizing} what="Quantizing did not finish." />
      </div>
      {attempts.value.length > 0 && (
        <Table
          caption="Signal to quantization noise of the weights, newest first"
          columns={[
            { title: 'Settings' },
            { title: 'SQNR', numeric: true },
            { title: 'Largest error', numeric: true },
            { title: 'RMS error', numeric: true },
            { title: 'Bytes', numeric: true },
            { title: 'Bits a weight', numeric: true },
            { title: 'Time', numeric: true },
          ]}
          rows={attempts.value.map(rowOf)}
        />
      )}
    </section>
  );
}

export function wordsOf({ bits: width, mode, groupSize, symmetric: even, method: how, scaleDtype: scales }: Settings): string {
  const groupsOf = mode === 'group' ? `groups of ${groupSize}` : `per ${mode}`;
  return [`int${width}`, groupsOf, how, ...(even ? ['symmetric'] : []), ...(scales === 'float16' ? [] : [scales])].join(', ');
}

const rowOf = ({ args, report, milliseconds: time }: Requantized) => [
  wordsOf(args.settings),
  report.sqnr === Number.POSITIVE_INFINITY ? '∞, exact' : `${report.sqnr.toFixed(2)} dB`,
  short(report.maxError),
  short(report.rmse),
  bytes(report.bytes),
  report.bitsPerWeight.toFixed(2),
  milliseconds(time),
];
