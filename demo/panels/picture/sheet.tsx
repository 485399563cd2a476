// The four pictures side by side, with their numbers and errors.
import type { ComponentProps } from 'preact';
import { useMemo } from 'preact/hooks';
import type { Mode } from '../../../src/formats.js';
import { codeAt, groupsIn } from '../../../src/problem/matrix.js';
import { dark } from '../../app/theme.js';
import { Button } from '../../ui/button.js';
import { gradientOf } from '../../ui/colours.js';
import { Slider } from '../../ui/fields.js';
import { wholeView } from '../../ui/heatmap-draw.js';
import { zoomBy } from '../../ui/heatmap-input.js';
import { bytes, short, whole } from '../../ui/numbers.js';
import { Progress } from '../../ui/progress.js';
import { PictureCanvas } from './canvas.js';
import { type Basis, MODES, type Picture } from './jobs/data.js';
import type { Shown } from './state.js';
import * as state from './state.js';
import { groupsOf } from './words.js';

const { amplify, cursor, exponent, original, picture, shown, view } = state;

interface SheetProps {
  readonly job: ComponentProps<typeof Progress>['job'];
  /** Runs again after a run that ended early. */
  readonly again: (() => void) | undefined;
}

/** dB of the first and the last colour for frequencies. */
const DECIBELS = [-80, 20] as const;

export function Sheet({ job, again }: SheetProps) {
  const of = picture.value;
  const first = original.value;
  if (!of || !first)
    return (
      <div class="picture-waiting">
        <Tools job={job} again={again} of={of} />
      </div>
    );
  const { rows, columns } = of;
  const factor = amplify.value === 0 ? chosenFactor() : 2 ** (amplify.value - 1);
  const basis: Basis = shown.value.tensor?.settings.basis ?? 'identity';
  return (
    <div class="stack">
      <Tools job={job} again={again} of={of} />
      <div class="picture-sheet">
        <figure class="picture-one" aria-label="Original">
          <figcaption>
            <h3>Original</h3>
            <p class="picture-note">
              {basis === 'dct'
                ? `|y| from ${DECIBELS[0]} dB (dark) to ${DECIBELS[1]} dB (bright)`.replace('-', '−')
                : `${whole(rows)} × ${whole(columns)} weights, black −0.5 to white 0.5`}
            </p>
          </figcaption>
          <Values label="Original" data={first.exact} of={of} basis={basis} />
          <Numbers
            value="no error"
            lines={[`${bytes(2 * rows * columns)} in float16`, '16 bits per weight']}
            cell={read(first.exact, of)}
          />
          <div class="picture-legend">
            <h4>Differences</h4>
            <Slider
              label="Amplified"
              value={amplify}
              min={0}
              max={9}
              format={(value) => (value === 0 ? `auto, × ${factor}` : `× ${factor}`)}
            />
            <Legend low={-0.5 / factor} high={0.5 / factor} colours="diverging" />
            <small>Product minus the original’s. The first and the last colour are ½, divided by the factor, away from 0.</small>
          </div>
        </figure>
        {MODES.map((mode) => (
          <One key={mode} mode={mode} of={of} exact={first.exact} factor={factor} />
        ))}
      </div>
    </div>
  );
}

/** The power of two that scales the largest root mean square error to at most a quarter of the range. */
function chosenFactor(): number {
  const worst = Math.max(...MODES.map((mode) => shown.value[mode]?.rmse ?? 0));
  return worst > 0 ? 2 ** Math.min(8, Math.max(0, Math.floor(Math.log2(0.25 / worst)))) : 1;
}

const TITLES: Readonly<Record<Exclude<Mode, 'group'>, string>> = { tensor: 'Per tensor', channel: 'Per channel' };

function One({
  mode,
  of,
  exact,
  factor,
}: {
  readonly mode: Mode;
  readonly of: Picture;
  readonly exact: Float32Array;
  readonly factor: number;
}) {
  const one = shown.value[mode];
  const { rows, columns } = of;
  const error = useMemo(() => one && Float32Array.from(one.y, (value, i) => value - exact[i]!), [one, exact]);
  const size = one?.matrix.groupSize ?? columns;
  const title = mode === 'group' ? groupsOf(columns, one ? size : state.sizeOf(exponent.value)) : TITLES[mode];
  const sizes = Math.ceil(Math.log2(Math.max(8, columns) / 8));
  return (
    <figure
      class="picture-one"
      aria-label={title}
      data-mode={mode}
      data-key={one?.key}
      data-psnr={one?.psnr}
      data-rmse={one?.rmse}
      data-largest={one?.largest}
      data-bytes={one?.report.bytes}
    >
      <figcaption>
        <h3>{title}</h3>
        {mode === 'group' ? (
          <Slider
            label="Weights that share a scale"
            value={exponent}
            min={0}
            max={sizes}
            format={(value) => (state.sizeOf(value) >= columns ? `${columns}, a row` : String(state.sizeOf(value)))}
          />
        ) : (
          <p class="picture-note">{mode === 'tensor' ? 'one scale for all weights' : `a scale for each of ${whole(rows)} rows`}</p>
        )}
      </figcaption>
      {one && error ? (
        <>
          <Values label={title} data={one.y} of={of} basis={one.settings.basis} share={mode === 'tensor' ? columns + 1 : size} />
          <Numbers
            value={Number.isFinite(one.psnr) ? `${one.psnr.toFixed(2)} dB` : 'no error'}
            lines={[bytes(one.report.bytes), `${one.report.bitsPerWeight.toFixed(2)} bits per weight`]}
            cell={`${read(one.y, of)}${codeUnder(one)}`}
          />
          <div class="picture-difference">
            <PictureCanvas
              label={`Difference, ${title.toLowerCase()}, amplified ${factor} times. The largest is ${short(one.largest)}.`}
              data={error}
              rows={rows}
              columns={columns}
              colours="diverging"
              domain={[-0.5 / factor, 0.5 / factor]}
            />
            <small>{`largest ${short(one.largest)}, RMS ${short(one.rmse)}`}</small>
          </div>
        </>
      ) : (
        <div class="picture-empty" style={{ aspectRatio: `${columns} / ${rows}` }} />
      )}
    </figure>
  );
}

interface ValuesProps {
  readonly label: string;
  readonly data: Float32Array;
  readonly of: Picture;
  readonly basis: Basis;
  readonly share?: number;
}
function Values({ label, data, of: { rows, columns }, basis, share }: ValuesProps) {
  const dct = basis === 'dct';
  const values = useMemo(() => (dct ? data.map((value) => 20 * Math.log10(Math.abs(value) + 1e-9)) : data), [data, dct]);
  return (
    <PictureCanvas
      label={label}
      data={values}
      rows={rows}
      columns={columns}
      colours={dct ? 'sequential' : 'gray'}
      domain={dct ? DECIBELS : [-0.5, 0.5]}
      share={dct ? undefined : share}
      keys
    />
  );
}

function Numbers({ value, lines, cell }: { readonly value: string; readonly lines: readonly string[]; readonly cell: string }) {
  return (
    <div class="picture-numbers">
      <p>
        <strong>{value}</strong> <small>{value === 'no error' ? '' : 'PSNR'}</small>
      </p>
      <p class="picture-sizes">
        {lines.map((line) => (
          <span key={line}>{line}</span>
        ))}
      </p>
      <p class="picture-cell">{cell}</p>
    </div>
  );
}

function read(data: Float32Array, { rows, columns }: Picture): string {
  const cell = cursor.value;
  return cell && cell.row < rows && cell.column < columns ? short(data[cell.row * columns + cell.column]!, 4) : '';
}
function codeUnder({ matrix, settings }: Shown): string {
  const cell = cursor.value;
  if (!cell || settings.basis !== 'identity' || cell.row >= matrix.n || cell.column >= matrix.k) return '';
  const scale = matrix.scale[cell.row * groupsIn(matrix) + Math.floor(cell.column / matrix.groupSize)]!;
  return ` = code ${codeAt(matrix, cell.row, cell.column)}, step ${short(scale)}`;
}

const Legend = ({ low, high, colours }: { readonly low: number; readonly high: number; readonly colours: 'diverging' }) => (
  <span class="picture-colours">
    <span>{short(low)}</span>
    <span style={{ background: gradientOf(colours, dark.value) }} aria-hidden="true" />
    <span>{short(high)}</span>
  </span>
);

function Tools({ of, job, again }: SheetProps & { readonly of: Picture | undefined }) {
  const zoomedIn = of !== undefined && (view.value.width < of.columns || view.value.height < of.rows);
  return (
    <div class="picture-tools">
      {of && (
        <span>
          <Button kind="quiet" label="Zoom in" onClick={() => zoomBy(view, of, 0.5, cursor.peek())}>
            +
          </Button>
          <Button kind="quiet" label="Zoom out" disabled={!zoomedIn} onClick={() => zoomBy(view, of, 2, cursor.peek())}>
            −
          </Button>
          <Button
            kind="quiet"
            label="Show all"
            disabled={!zoomedIn}
            onClick={() => {
              view.value = wholeView(of);
            }}
          >
            All
          </Button>
        </span>
      )}
      {of && <Readout of={of} />}
      <span class="picture-job">
        {again && <Button onClick={again}>Run again</Button>}
        <Progress job={job} label="The pictures" />
      </span>
      <p class="unseen" id="picture-keys">
        Arrow keys move the cursor, with Shift by an eighth. Plus and minus zoom, 0 shows all.
      </p>
    </div>
  );
}

function Readout({ of }: { readonly of: Picture }) {
  const cell = cursor.value;
  const values = [['original', original.value?.exact] as const, ...MODES.map((mode) => [mode, shown.value[mode]?.y] as const)];
  const said = values.flatMap(([name, data]) => (data ? [`${name} ${read(data, of)}`] : [])).join('; ');
  return (
    <output>
      {cell ? (
        <>
          {`row ${whole(cell.row)}, column ${whole(cell.column)}`}
          <span class="unseen">{`: ${said}`}</span>
        </>
      ) : (
        <small>Point at a picture: a frame holds the weights that share a scale.</small>
      )}
    </output>
  );
}
