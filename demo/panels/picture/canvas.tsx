// Draws a matrix as a picture: pixels are averaged where it is reduced, squares where it is enlarged. All pictures share one view and one
// cursor. A frame marks the weights that share a scale with the weight under the cursor.
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { dark } from '../../app/theme.js';
import { type ColourMap, pixelsOf } from '../../ui/colours.js';
import { listen } from '../../ui/heatmap-input.js';
import { cursor, view } from './state.js';

export interface PictureProps {
  readonly label: string;
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
  readonly colours: ColourMap;
  /** The numbers of the first and the last colour. */
  readonly domain: readonly [number, number];
  /** Weights of a row that share a scale; if larger than a row, all weights share one. */
  readonly share?: number | undefined;
  /** Keys move the cursor and the view. Without it, only pointers do. */
  readonly keys?: boolean;
}

export function PictureCanvas({ label, data, rows, columns, colours, domain, share, keys }: PictureProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useRef({ rows, columns });
  size.current = { rows, columns };
  const room = useSignal({ width: 0, height: 0 });
  const [low, high] = domain;
  const theme = dark.value;
  const whole = useMemo(() => {
    const image = new ImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    const map = pixelsOf(colours, theme);
    const scale = 255 / (high - low);
    for (let i = 0; i < data.length; i++) pixels[i] = map[Math.min(255, Math.max(0, Math.round((data[i]! - low) * scale)))]!;
    const paper = new OffscreenCanvas(columns, rows);
    paper.getContext('2d')!.putImageData(image, 0, 0);
    return paper;
  }, [data, rows, columns, colours, low, high, theme]);

  useEffect(() => {
    const element = canvas.current!;
    const stop = listen(element, { view, cursor, size: () => size.current });
    const watch = new ResizeObserver(() => {
      const ratio = Math.min(2, devicePixelRatio);
      room.value = { width: Math.round(element.clientWidth * ratio), height: Math.round(element.clientHeight * ratio) };
    });
    watch.observe(element);
    return () => {
      stop();
      watch.disconnect();
    };
  }, [room]);

  const drawn = useSignal(whole);
  useEffect(() => {
    drawn.value = whole;
  }, [whole, drawn]);
  useSignalEffect(() => {
    const { width, height } = room.value;
    const { left, top, width: across, height: down } = view.value;
    const image = drawn.value;
    const context = canvas.current?.getContext('2d');
    if (!context || width === 0 || height === 0) return;
    const frame = requestAnimationFrame(() => {
      const { canvas: element } = context;
      if (element.width !== width || element.height !== height) Object.assign(element, { width, height });
      context.imageSmoothingEnabled = across > width;
      context.imageSmoothingQuality = 'high';
      context.drawImage(image, left, top, across, down, 0, 0, width, height);
    });
    return () => cancelAnimationFrame(frame);
  });

  const role = keys ? 'application' : 'img';
  return (
    <div class="picture-frame" data-zoomed={view.value.width < columns || view.value.height < rows ? '' : undefined}>
      <canvas
        ref={canvas}
        style={{ aspectRatio: `${columns} / ${rows}` }}
        role={role}
        aria-label={label}
        {...(keys && { tabIndex: 0, 'aria-roledescription': 'picture', 'aria-describedby': 'picture-keys' })}
      />
      <Mark rows={rows} columns={columns} share={share} />
    </div>
  );
}

function Mark({ rows, columns, share = 1 }: Pick<PictureProps, 'rows' | 'columns' | 'share'>) {
  const cell = cursor.value;
  if (!cell || cell.row >= rows || cell.column >= columns) return null;
  const { left, top, width, height } = view.value;
  const all = share > columns;
  const first = all ? 0 : Math.floor(cell.column / share) * share;
  const ends = {
    left: Math.max(left, first),
    right: Math.min(left + width, all ? columns : first + share, columns),
    top: Math.max(top, all ? 0 : cell.row),
    bottom: Math.min(top + height, all ? rows : cell.row + 1),
  };
  if (ends.left >= ends.right || ends.top >= ends.bottom) return null;
  const percent = (value: number): string => `${100 * value}%`;
  return (
    <span
      class="picture-mark"
      data-all={all ? '' : undefined}
      aria-hidden="true"
      style={{
        left: percent((ends.left - left) / width),
        top: percent((ends.top - top) / height),
        width: percent((ends.right - ends.left) / width),
        height: percent((ends.bottom - ends.top) / height),
      }}
    />
  );
}
