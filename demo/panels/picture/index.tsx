// The panel "See quantization": a picture is the weight matrix; what each granularity makes of it, side by side.
import { useEffect } from 'preact/hooks';
import './picture.css';
import { Button } from '../../ui/button.js';
import { Segmented, SelectField, Toggle } from '../../ui/fields.js';
import { FileDrop } from '../../ui/file-drop.js';
import { Notice } from '../../ui/notice.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { BUILT_IN, LARGEST_SIDE } from '../../worker/picture-data.js';
import { Reading } from './reading.js';
import { Sheet } from './sheet.js';
import * as state from './state.js';
import { whatOneSees } from './words.js';

const { spot, bits, method, symmetric, basis, picture, shown, building, opening, running } = state;

export default function Panel() {
  useEffect(state.follow, []);
  const { tensor, channel, group } = shown.value;
  const job = [opening, building, running].find((one) => one.status.value === 'running') ?? running;
  const ended = job.status.value === 'cancelled' || job.status.value === 'failed';
  const noGpu = tensor && 'noGpu' in tensor.ran && tensor.ran.noGpu;
  return (
    <>
      <div class="card stack picture-controls">
        <div class="controls">
          <Toggle label="Add a bright spot" value={spot} />
          <Segmented label="Bits" value={bits} options={BITS} />
          <SelectField label="Scales by" value={method} options={METHODS} />
          <Toggle
            label="Symmetric: no zero points"
            value={symmetric}
            disabled={method.value === 'hqq'}
            {...(method.value === 'hqq' && { hint: 'hqq looks for zero points.' })}
          />
          <SelectField label="Multiply by (x)" value={basis} options={XS} />
        </div>
        <details>
          <summary>
            {picture.value && picture.value.id !== BUILT_IN ? `Your picture: ${picture.value.name}` : 'Use a picture of your own'}
          </summary>
          <div class="picture-own">
            <FileDrop label="Drop a picture, or choose one" accept="image/*" onFiles={([file]) => file && void state.showFile(file)}>
              {`It stays in this page and goes nowhere. It is made gray, and at most ${LARGEST_SIDE} pixels wide and high.`}
            </FileDrop>
            {picture.value && picture.value.id !== BUILT_IN && (
              <Button onClick={() => void state.showBuiltIn()}>Back to the page’s picture</Button>
            )}
          </div>
        </details>
      </div>
      <div class="picture-job">
        <Progress job={job} label="The pictures" />
        {ended && <Button onClick={state.run}>Run again</Button>}
      </div>
      <JobProblem job={opening} what="The picture could not be opened." />
      <JobProblem job={building} what="There is no picture." />
      <JobProblem job={running} what="The run did not finish." />
      {noGpu && <Notice kind="info">{`Not run on a GPU: these are products of the CPU reference. ${noGpu}.`}</Notice>}
      {tensor && channel && group && (
        <p class="picture-sees" role="status">
          {whatOneSees({ tensor, channel, group })}
        </p>
      )}
      <Sheet />
      <Reading />
    </>
  );
}

const BITS = [4, 8].map((value) => ({ value: value as 4 | 8, label: `int${value}` }));
const METHODS = [
  { value: 'minmax', label: 'minmax: the ends of each group' },
  { value: 'mse', label: 'mse: least squared error' },
  { value: 'hqq', label: 'hqq: float zero points' },
] as const;
const XS = [
  { value: 'identity', label: 'identity: the weights themselves' },
  { value: 'blur', label: 'blur along the rows' },
  { value: 'dct', label: 'DCT: frequencies of the rows' },
] as const;
