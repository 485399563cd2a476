// The panel "Operator": one product of a choice, on the CPU reference and on the GPU, and how far apart they are.
import { effect } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { choice, flag, urlSignal } from '../../app/url-state.js';
import { makeJob } from '../../app/use-job.js';
import { Button } from '../../ui/button.js';
import { Segmented, SelectField, Toggle } from '../../ui/fields.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { type Choice, SCHEMES } from '../../worker/example.js';
import { Result } from './result.js';

type Scheme = Choice['scheme'];
const ROWS = [1, 4, 16, 64] as const;
const DTYPES = ['float16', 'bfloat16', 'float32'] as const;
const schemes = Object.keys(SCHEMES) as Scheme[];

const rows = urlSignal('operator.m', choice<(typeof ROWS)[number]>(1, ROWS));
const scheme = urlSignal('operator.weights', choice<Scheme>('int4-g32', schemes));
const dtype = urlSignal('operator.dtype', choice<(typeof DTYPES)[number]>('float16', DTYPES));
const int8Output = urlSignal('operator.int8', flag(false));
/** Outlives the panel's being shown: coming back finds the result again. */
const job = makeJob('operator.run');
const run = (): void => void job.run({ rows: rows.peek(), scheme: scheme.peek(), dtype: dtype.peek(), int8Output: int8Output.peek() });

export default function Panel() {
  // A change of any control runs anew; so does the first showing.
  useEffect(
    () =>
      effect(() => {
        const wanted: Choice = { rows: rows.value, scheme: scheme.value, dtype: dtype.value, int8Output: int8Output.value };
        const shown = job.result.peek()?.choice;
        if (JSON.stringify(shown) !== JSON.stringify(wanted)) void job.run(wanted);
      }),
    [],
  );
  const result = job.result.value;
  return (
    <>
      <form
        class="controls card"
        onSubmit={(event) => {
          event.preventDefault();
          run();
        }}
      >
        <Segmented label="Rows of x (m)" value={rows} options={ROWS.map((value) => ({ value, label: String(value) }))} />
        <SelectField label="Weights" value={scheme} options={schemes.map((value) => ({ value, label: SCHEMES[value].label }))} />
        <Segmented label="dtype of x and scales" value={dtype} options={DTYPES.map((value) => ({ value, label: value }))} />
        <Toggle label="int8 output" value={int8Output} />
        <Button kind="primary" type="submit">
          Run again
        </Button>
        <Progress job={job} label="The product" />
      </form>
      <JobProblem job={job} what="The run did not finish." />
      {result && <Result result={result} />}
    </>
  );
}
