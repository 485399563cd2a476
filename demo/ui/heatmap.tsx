// A heatmap of up to 4096 × 4096 numbers on a canvas, with zoom, a cursor with a readout, and a legend. Heatmaps that share `view` and
// `cursor` move together. colours.ts has the colours, heatmap-draw.ts makes the pixels, heatmap-input.ts handles keys and pointers.
import { type Signal, useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import './heatmap.css';
import { dark } from '../app/theme.js';
import { Button } from './button.js';
import { type ColourMap, gradientOf, pixelsOf } from './colours.js';
import { extent, type Numbers, paint, pyramid, single, type View, wholeView } from './heatmap-draw.js';
import { type Cell, listen, zoomBy } from './heatmap-input.js';
import { short, whole } from './numbers.js';

export type { View } from './heatmap-draw.js';
export type { Cell } from './heatmap-input.js';

export interface HeatmapProps {
  readonly title: string;
  /** Row-major. */
  readonly data: Numbers;
  readonly rows: number;
  readonly columns: number;
  /** `diverging` is symmetric around 0. */
  readonly colours?: ColourMap;
  /** The numbers of the first and the last colour. Default: the extent of the data. */
  readonly domain?: readonly [number, number] | undefined;
  /** The cell that a pixel of several cells shows: the middle one, or the one farthest from 0 (for errors, so that outliers show). */
  readonly reduce?: 'sample' | 'extreme';
  /** Readout of a cell after its row and column. Default: its number. */
  readonly read?: (row: number, column: number) => string;
  /** Names of rows and columns: `['n', 'k']`. */
  readonly axes?: readonly [string, string];
  /** Shared with other heatmaps of the same size. */
  readonly view?: Signal<View>;
  readonly cursor?: Signal<Cell | undefined>;
}

export function Heatmap(props: HeatmapProps) {
  const { title, data, rows, columns, colours = 'diverging', reduce = 'sample', axes = ['row', 'column'] } = props;
  const id = useId();
  const canvas = useRef<HTMLCanvasElement>(null);
  const ownView = useSignal<View>(wholeView({ rows, columns }));
  const ownCursor = useSignal<Cell | undefined>(undefined);
  const view = props.view ?? ownView;
  const cursor = props.cursor ?? ownCursor;
  const size = useRef({ rows, columns });
  const pixels = useSignal({ width: 0, height: 0 });

  const [givenLow, givenHigh] = props.domain ?? [];
  const [low, high] = useMemo(() => {
    if (givenLow !== undefined && givenHigh !== undefined) return [givenLow, givenHigh];
    const [least, most] = extent(data);
    const far = Math.max(Math.abs(least), Math.abs(most));
    return colours === 'diverging' ? [-far, far] : [least, most];
  }, [data, givenLow, givenHigh, colours]);
  const levels = useMemo(() => {
    const matrix = { data, rows, columns };
    return reduce === 'extreme' ? pyramid(matrix, 0) : single(matrix);
  }, [data, rows, columns, reduce]);

  // A matrix of another size resets the view; the same size keeps it.
  if (size.current.rows !== rows || size.current.columns !== columns) {
    size.current = { rows, columns };
    view.value = wholeView({ rows, columns });
    cursor.value = undefined;
  }
  useEffect(() => {
    const element = canvas.current!;
    const stop = listen(element, { view, cursor, size: () => size.current });
    const watch = new ResizeObserver(() => {
      const ratio = Math.min(2, devicePixelRatio);
      pixels.value = { width: Math.round(element.clientWidth * ratio), height: Math.round(element.clientHeight * ratio) };
    });
    watch.observe(element);
    return () => {
      stop();
      watch.disconnect();
    };
  }, [view, cursor]);

  const drawn = useSignal({ levels, colours, low, high });
  useEffect(() => {
    drawn.value = { levels, colours, low, high };
  }, [levels, colours, low, high]);
  useSignalEffect(() => {
    const { width, height } = pixels.value;
    const now = { ...drawn.value, width, height, view: view.value, colours: pixelsOf(drawn.value.colours, dark.value) };
    const context = canvas.current?.getContext('2d');
    if (!context || width === 0 || height === 0) return;
    // Draws at most once a frame.
    const frame = requestAnimationFrame(() => {
      Object.assign(context.canvas, { width, height });
      const image = context.createImageData(width, height);
      paint(new Uint32Array(image.data.buffer), now);
      context.putImageData(image, 0, 0);
    });
    return () => cancelAnimationFrame(frame);
  });

  const cell = cursor.value;
  const said =
    cell &&
    cell.row < rows &&
    cell.column < columns &&
    (props.read?.(cell.row, cell.column) ?? short(data[cell.row * columns + cell.column]!, 5));
  const readout = said && `${axes[0]} ${whole(cell.row)}, ${axes[1]} ${whole(cell.column)}: ${said}`;
  const zoomedIn = view.value.width < columns || view.value.height < rows;
  const all = { rows, columns };
  // Long strips are drawn thicker than their cells.
  const aspect = Math.min(8, Math.max(0.5, columns / rows));

  return (
    <figure class="heatmap">
      <figcaption id={`${id}-title`}>
        <span>{title}</span>
        <small>
          {whole(rows)} × {whole(columns)}
        </small>
      </figcaption>
      <div class="heatmap-frame" data-zoomed={zoomedIn ? '' : undefined}>
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes the arrow keys itself, which is what an application does */}
        <canvas
          ref={canvas}
          style={{ aspectRatio: String(aspect) }}
          tabIndex={0}
          role="application"
          aria-roledescription="heatmap"
          aria-labelledby={`${id}-title`}
          aria-describedby={`${id}-keys`}
        />
        <Cursor view={view} cursor={cursor} />
      </div>
      <div class="heatmap-bar">
        <span class="legend">
          <span>{short(low)}</span>
          <span class="legend-colours" style={{ background: gradientOf(colours, dark.value) }} aria-hidden="true" />
          <span>{short(high)}</span>
        </span>
        <span class="heatmap-tools">
          <Button kind="quiet" label={`Zoom in: ${title}`} onClick={() => zoomBy(view, all, 0.5, cursor.peek())}>
            +
          </Button>
          <Button kind="quiet" label={`Zoom out: ${title}`} disabled={!zoomedIn} onClick={() => zoomBy(view, all, 2, cursor.peek())}>
            −
          </Button>
          <Button
            kind="quiet"
            label={`Show all: ${title}`}
            disabled={!zoomedIn}
            onClick={() => {
              view.value = wholeView(all);
            }}
          >
            All
          </Button>
        </span>
      </div>
      <output class="heatmap-readout">{readout || ''}</output>
      <p class="unseen" id={`${id}-keys`}>
        Arrow keys move the cursor, with Shift by an eighth. Plus and minus zoom, 0 shows all.
      </p>
    </figure>
  );
}

/** A frame around the cell under the cursor. */
function Cursor({ view, cursor }: { readonly view: Signal<View>; readonly cursor: Signal<Cell | undefined> }) {
  const cell = cursor.value;
  const { left, top, width, height } = view.value;
  if (!cell || cell.column < left - 1 || cell.column > left + width || cell.row < top - 1 || cell.row > top + height) return null;
  const share = (value: number): string => `${100 * value}%`;
  return (
    <span
      class="heatmap-cursor"
      aria-hidden="true"
      style={{
        left: share((cell.column - left) / width),
        top: share((cell.row - top) / height),
        width: share(1 / width),
        height: share(1 / height),
      }}
    />
  );
}
