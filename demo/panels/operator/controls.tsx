// The form: sizes, weights, numbers, data. A refusal of the library is shown at its field, in the library's words; no control is disabled
// for it.
import type { ComponentChildren } from 'preact';
import { CODE_WIDTHS } from '../../../src/problem/code-width.js';
import { Button } from '../../ui/button.js';
import { NumberField, Segmented, SelectField, Toggle } from '../../ui/fields.js';
import { Folded } from '../../ui/folded.js';
import { Progress } from '../../ui/progress.js';
import { type Data, type Field, MODEL, MOST } from './jobs/choice.js';
import { chosen, job, problem, saidAt, wanted } from './state.js';
import { DATA, DATA_HINTS } from './words.js';

/** The refusal of a field, or a hint. */
const at = (field: Field, hint?: string): ComponentChildren => {
  const said = saidAt(field);
  return said ? <span class="problem">{said}</span> : hint;
};
const options = <const T extends string | number>(values: readonly T[]) => values.map((value) => ({ value, label: String(value) }));

/** The trained layer has one size. */
function chooseData(data: Data): void {
  if (data !== 'model') return;
  for (const name of ['k', 'n'] as const) chosen[name].value = Math.min(chosen[name].peek(), MODEL[name]);
}

export function Controls() {
  const { m, k, n } = wanted.value;
  return (
    <form
      class="card stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (!problem.peek()) void job.run(wanted.peek());
      }}
    >
      <Folded summary={`Change the product: x (${m}, ${k}), weights (${n}, ${k})`}>
        <div class="operator-form">
          <div class="stack">
            <Group title="Data">
              <SelectField
                label="Weights and x"
                value={chosen.data}
                options={(Object.keys(DATA) as Data[]).map((value) => ({ value, label: DATA[value] }))}
                onChange={chooseData}
              />
              {chosen.data.value === 'random' && <NumberField label="Seed" value={chosen.seed} min={0} max={2 ** 31 - 1} />}
              <p class="operator-about">
                <small>{DATA_HINTS[chosen.data.value]}</small>
              </p>
            </Group>
            <Group title="Sizes">
              <NumberField label="M, rows of x" value={chosen.m} min={1} max={MOST.m} hint={at('m')} />
              <NumberField label="K, inputs" value={chosen.k} min={0} max={MOST.k} hint={at('k')} />
              <NumberField label="N, outputs" value={chosen.n} min={0} max={MOST.n} hint={at('n')} />
            </Group>
          </div>
          <div class="stack">
            <Group title="Weights">
              <Segmented label="Codes" value={chosen.bits} options={CODE_WIDTHS.map(({ bits, name }) => ({ value: bits, label: name }))} />
              <Segmented
                label="One scale for"
                value={chosen.mode}
                options={[
                  { value: 'tensor', label: 'tensor' },
                  { value: 'channel', label: 'channel' },
                  { value: 'group', label: 'group' },
                ]}
              />
              {chosen.mode.value === 'group' && (
                <NumberField label="Group size" value={chosen.groupSize} min={1} max={MOST.k} hint={at('groupSize')} />
              )}
              <Toggle label="Offsets" value={chosen.offset} />
              <SelectField
                label="Scales"
                value={chosen.scales}
                options={[
                  { value: 'x', label: 'dtype of x' },
                  { value: 'int64', label: 'int64, packed' },
                ]}
                hint={at('scales')}
              />
              <SelectField label="Layout" value={chosen.format} options={options(['ND', 'FRACTAL_NZ'])} hint={at('format')} />
            </Group>
            <Group title="Product">
              <Segmented label="dtype of x" value={chosen.dtype} options={options(['float16', 'bfloat16', 'float32'])} hint={at('dtype')} />
              <Segmented label="innerPrecise" value={chosen.innerPrecise} options={options([0, 1])} hint={at('innerPrecise')} />
              <div class="operator-toggles">
                <Toggle label="Bias" value={chosen.bias} hint={at('bias')} />
                <Toggle label="int8 output" value={chosen.int8Output} hint={at('int8Output')} />
                <Toggle label="Output offset" value={chosen.quantOffset} hint={at('quantOffset')} />
              </div>
            </Group>
          </div>
        </div>
      </Folded>
      <div class="controls operator-run">
        <Button kind="primary" type="submit" disabled={problem.value !== undefined}>
          Run again
        </Button>
        {!problem.value && <Progress job={job} label="The product" />}
      </div>
    </form>
  );
}

const Group = ({ title, children }: { readonly title: string; readonly children: ComponentChildren }) => (
  <fieldset class="operator-group">
    <legend>{title}</legend>
    <div class="controls">{children}</div>
  </fieldset>
);
