// The panel "See quantization": a picture is the weight matrix; it is shown quantized in each mode, side by side.
import { useEffect } from 'preact/hooks';
import { CODE_WIDTHS } from '../../../src/problem/code-width.js';
import './picture.css';
import { Button } from '../../ui/button.js';
import { Segmented, Toggle } from '../../ui/fields.js';
import { FileDrop } from '../../ui/file-drop.js';
import { Folded } from '../../ui/folded.js';
import { Notice } from '../../ui/notice.js';
import { JobProblem } from '../../ui/progress.js';
import { Curve } from './curve.js';
import { BLUR, BUILT_IN, LARGEST_SIDE } from './jobs/data.js';
import { Numbers, Reading } from './reading.js';
import { Sheet } from './sheet.js';
import * as state from './state.js';
import { whatOneSees } from './words.js';

const { spot, bits, method, zeroPoints, basis, picture, shown, building, opening, running } = state;

export default function Panel() {
  useEffect(state.follow, []);
  const { tensor, channel, group } = shown.value;
  const job = [opening, building, running].find((one) => one.status.value === 'running') ?? running;
  const ended = job.status.value === 'cancelled' || job.status.value === 'failed';
  const noGpu = tensor && 'noGpu' in tensor.ran && tensor.ran.noGpu;
  return (
    <>
      <div class="card picture-controls">
        <Folded
          summary={`Change it: int${bits.value}, ${method.value}${zeroPoints.value && method.value !== 'hqq' ? ', zero points' : ''}${spot.value ? ', a bright spot' : ''}`}
        >
          <div class="stack">
            <div class="controls">
              <Toggle label="Add a bright spot" value={spot} />
              <Segmented label="Weights" value={bits} options={BITS} />
              <Segmented label="Scales by" value={method} options={METHODS} hint={METHOD_HINTS[method.value]} />
              <Toggle label="Zero points" value={zeroPoints} disabled={method.value === 'hqq'} />
              <Segmented label="Multiplied by x" value={basis} options={XS} hint={X_HINTS[basis.value]} />
            </div>
            <details>
              <summary>
                {picture.value && picture.value.id !== BUILT_IN ? `Your picture: ${picture.value.name}` : 'Use your picture'}
              </summary>
              <div class="picture-own">
                <FileDrop label="Drop a picture, or choose one" accept="image/*" onFiles={([file]) => file && void state.showFile(file)}>
                  {`It stays in this page and is not uploaded. It is converted to gray and to at most ${LARGEST_SIDE} pixels in width and height.`}
                </FileDrop>
                {picture.value && picture.value.id !== BUILT_IN && (
                  <Button onClick={() => void state.showBuiltIn()}>Back to the page’s picture</Button>
                )}
              </div>
            </details>
          </div>
        </Folded>
      </div>
      <JobProblem job={opening} what="The picture could not be opened." />
      <JobProblem job={building} what="The picture could not be drawn." />
      <JobProblem job={running} what="The run did not finish." />
      {noGpu && <Notice kind="info">{`Not run on a GPU: the CPU reference made these products. ${noGpu}.`}</Notice>}
      {tensor && channel && group && (
        <p class="picture-sees" role="status">
          {whatOneSees({ tensor, channel, group })}
        </p>
      )}
      <Sheet job={job} again={ended ? state.run : undefined} />
      <div class="columns picture-more">
        <Curve />
        <div class="stack">
          <Numbers />
          <Reading />
        </div>
      </div>
    </>
  );
}

const BITS = CODE_WIDTHS.map(({ bits, name }) => ({ value: bits, label: name }));
const METHODS = state.METHODS.map((value) => ({ value, label: value }));
const METHOD_HINTS = {
  minmax: 'Codes span a group’s least and greatest weight.',
  mse: 'The range is clipped where that reduces the squared error.',
  hqq: 'Float zero points make large errors rare.',
} as const;
const XS = [
  { value: 'identity', label: 'identity' },
  { value: 'blur', label: 'blur' },
  { value: 'dct', label: 'DCT' },
] as const;
const X_HINTS = {
  identity: 'y equals the weights.',
  blur: `A Gaussian of ${BLUR} pixels, along the rows.`,
  dct: 'y is the frequencies of the rows.',
} as const;
