// The controls: the product, the contenders, and the duration.
import { CODE_WIDTHS } from '../../../src/problem/code-width.js';
import { device } from '../../app/worker.js';
import { Button } from '../../ui/button.js';
import { NumberField, Segmented, SelectField, Toggle } from '../../ui/fields.js';
import { Folded } from '../../ui/folded.js';
import * as c from './choices.js';

const options = <T extends string>(table: Readonly<Record<T, { readonly label: string }>>) =>
  (Object.entries(table) as [T, { readonly label: string }][]).map(([value, { label }]) => ({ value, label }));

const rowOptions = options(c.ROWS).map(({ value, label }) => {
  const [only, ...more] = c.ROWS[value].rows;
  return { value, label: only !== undefined && more.length === 0 ? `${label}, ${only}` : label };
});

/** Estimated seconds of all contenders, limits included, over all products; and of the language model. */
function seconds(): number {
  const { rows, rounds, sample, peers, dense } = c.settings.value;
  const taking = 1 + 2 * peers.length + Number(dense) + LIMITS;
  const products = c.withProducts.value ? (taking * rows.length * rounds * sample) / 1000 : 0;
  return products + (c.withLlm.value ? (1 + c.llmSettings.value.peers.length * PEER) * rounds * LLM : 0);
}
const LIMITS = 6;
/** Seconds of a round of the language model on a GPU, and how many times that a peer takes. */
const LLM = 0.3;
const PEER = 5;

/** What a click on Measure measures. */
function what(): string {
  const { rows, k, n, bits } = c.settings.value;
  const products = `products of ${rows.join(', ')} ${rows.length === 1 && rows[0] === 1 ? 'row' : 'rows'}, ${k} × ${n} int${bits} weights`;
  return [...(c.withLlm.value ? ['the language model of this page'] : []), ...(c.withProducts.value ? [products] : [])].join('; ');
}

export function Form({ running, onRun, onTune }: { readonly running: boolean; readonly onRun: () => void; readonly onTune: () => void }) {
  const tooBig = c.tooMany(c.settings.value.k, c.settings.value.n);
  const nothing = !c.withLlm.value && !c.withProducts.value;
  return (
    <form
      class="card bench-form"
      onSubmit={(event) => {
        event.preventDefault();
        onRun();
      }}
    >
      <div class="bench-go">
        <Button kind="primary" type="submit" disabled={running || tooBig !== undefined || nothing}>
          Measure
        </Button>
        <small>
          {nothing ? 'Nothing is chosen below.' : `Measures ${what()}.`}
          {` Timing alone takes some ${Math.ceil(seconds())} s; data, compiling and checking take extra time.`}
          {device.value.state === 'ready' &&
            device.value.facts.caps.software &&
            ' On this software adapter a call can take longer than a sample: large products take minutes.'}
        </small>
      </div>
      {tooBig && <p class="problem">{`Expected ${tooBig}.`}</p>}
      <Folded summary="Change what is measured">
        <div class="bench-fields">
          <fieldset class="controls bench-against">
            <legend>The language model</legend>
            <Toggle label="the language model of this page" value={c.withLlm} hint="1.4 MB, the same as in the panel “Chat”" />
            <Toggle
              label="wllama on WebGPU"
              value={c.llmPeers.webgpu}
              disabled={!c.withLlm.value}
              hint={`llama.cpp; loads ${c.megabytes(c.wllamaSize)} from this site, with the first run`}
            />
            <Toggle
              label="wllama on the CPU"
              value={c.llmPeers.wasm}
              disabled={!c.withLlm.value}
              hint={`WebAssembly, one thread; the same ${c.megabytes(c.wllamaSize)}`}
            />
          </fieldset>
          <fieldset class="controls">
            <legend>The product</legend>
            <Toggle label="products" value={c.withProducts} />
            <Segmented label="Rows of x (M)" value={c.rows} options={rowOptions} />
            {c.rows.value === 'own' && <NumberField label="M" value={c.ownRows} min={1} max={c.MOST_ROWS} />}
            <SelectField label="Weights (K × N)" value={c.matrix} options={options(c.MATRICES)} />
            {c.matrix.value === 'own' && (
              <>
                <NumberField label="K" value={c.ownK} {...c.SIDE} check={(k) => c.tooMany(k, c.ownN.value)} />
                <NumberField label="N" value={c.ownN} {...c.SIDE} check={(n) => c.tooMany(c.ownK.value, n)} />
              </>
            )}
            <Segmented label="Bits" value={c.bits} options={CODE_WIDTHS.map(({ bits, name }) => ({ value: bits, label: name }))} />
            <SelectField
              label="Scales"
              value={c.group}
              options={c.GROUPS.map((value) => ({ value, label: value === 0 ? 'per channel' : `groups of ${value}` }))}
            />
            <Segmented
              label="dtype of x and scales"
              value={c.dtype}
              options={[
                { value: 'float32', label: 'float32' },
                { value: 'float16', label: 'float16' },
              ]}
            />
            <Toggle label="offsets" value={c.offset} />
          </fieldset>
          <fieldset class="controls bench-against">
            <legend>Products timed against</legend>
            <Toggle
              label="onnxruntime-web on WebGPU"
              value={c.peers.webgpu}
              hint={`Loads ${c.megabytes(c.sizeOf('webgpu'))} from this site, with the first run`}
            />
            <Toggle
              label="onnxruntime-web on the CPU"
              value={c.peers.wasm}
              hint={`WebAssembly; loads ${c.megabytes(c.sizeOf('wasm'))}${globalThis.crossOriginIsolated ? '' : '; one thread'}`}
            />
            <Toggle label="the same product, dense in float32" value={c.dense} hint="A kernel of the bench" />
          </fieldset>
          <fieldset class="controls">
            <legend>How long</legend>
            <NumberField label="Rounds" value={c.rounds} {...c.ROUNDS} />
            <NumberField label="A sample lasts" value={c.sample} {...c.SAMPLE} unit="ms" />
            <Button onClick={onTune} disabled={running || tooBig !== undefined}>
              Tune for these products
            </Button>
          </fieldset>
        </div>
      </Folded>
    </form>
  );
}
