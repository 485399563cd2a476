// Draws the visible part of a matrix into pixels, whatever its size: one look-up a pixel, not one draw a cell. Pure but for the buffer.
//
// Where several cells share a pixel, `sample` shows the one in the middle and `extreme` the one farthest from `centre`, found
// in a pyramid of halved matrices that is made once: a single outlier in millions of cells stays visible.

export type Numbers = Float32Array | Float64Array | Uint8Array | Int8Array | Int32Array | Uint16Array;
export interface Matrix {
  readonly data: Numbers;
  readonly rows: number;
  readonly columns: number;
}
/** The part that is shown, in cells. */
export interface View {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}
export interface Level extends Matrix {
  /** Cells of the matrix that one of these stands for, each way. */
  readonly size: number;
}

export const wholeView = ({ rows, columns }: Pick<Matrix, 'rows' | 'columns'>): View => ({ left: 0, top: 0, width: columns, height: rows });

/** Halves until nothing is left to halve; the first level is the matrix itself. */
export function pyramid(matrix: Matrix, centre: number): Level[] {
  const levels: Level[] = [{ ...matrix, size: 1 }];
  for (;;) {
    const { data, rows, columns, size } = levels.at(-1)!;
    if (rows <= 64 && columns <= 64) return levels;
    const [halfRows, halfColumns] = [(rows + 1) >> 1, (columns + 1) >> 1];
    const half = new Float32Array(halfRows * halfColumns);
    for (let r = 0; r < halfRows; r++) {
      const upper = 2 * r * columns;
      const lower = 2 * r + 1 < rows ? upper + columns : upper;
      for (let c = 0; c < halfColumns; c++) {
        const a = 2 * c;
        const b = a + 1 < columns ? a + 1 : a;
        let best = data[upper + a]!;
        let far = Math.abs(best - centre);
        const one = data[upper + b]!;
        if (Math.abs(one - centre) > far) far = Math.abs((best = one) - centre);
        const two = data[lower + a]!;
        if (Math.abs(two - centre) > far) far = Math.abs((best = two) - centre);
        const three = data[lower + b]!;
        half[r * halfColumns + c] = Math.abs(three - centre) > far ? three : best;
      }
    }
    levels.push({ data: half, rows: halfRows, columns: halfColumns, size: 2 * size });
  }
}

/** `levels` holds one level for `sample`. Numbers from low to high run over the 256 colours; NaN is clear. */
export function paint(
  pixels: Uint32Array,
  {
    width,
    height,
    view,
    levels,
    colours,
    low,
    high,
  }: {
    readonly width: number;
    readonly height: number;
    readonly view: View;
    readonly levels: readonly Level[];
    readonly colours: Uint32Array;
    readonly low: number;
    readonly high: number;
  },
): void {
  const cells = Math.min(view.width / width, view.height / height);
  const { data, rows, columns, size } = levels.findLast((level) => level.size <= Math.max(1, cells)) ?? levels[0]!;
  const scale = high > low ? 255 / (high - low) : 0;
  const across = new Int32Array(width);
  for (let x = 0; x < width; x++) across[x] = Math.min(columns - 1, Math.floor((view.left + ((x + 0.5) * view.width) / width) / size));
  let above = -1;
  for (let y = 0; y < height; y++) {
    const row = Math.min(rows - 1, Math.floor((view.top + ((y + 0.5) * view.height) / height) / size));
    const to = y * width;
    if (row === above) {
      pixels.copyWithin(to, to - width, to);
      continue;
    }
    above = row;
    const from = row * columns;
    for (let x = 0; x < width; x++) {
      const index = (data[from + across[x]!]! - low) * scale + 0.5;
      // NaN fails both comparisons.
      pixels[to + x] = index >= 255 ? colours[255]! : index >= 0 ? colours[index | 0]! : index < 0 ? colours[0]! : 0;
    }
  }
}

/** Smallest and largest finite number; [0, 0] of none. */
export function extent(data: Numbers): readonly [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (value < low && value !== -Infinity) low = value;
    if (value > high && value !== Infinity) high = value;
  }
  return low <= high ? [low, high] : [0, 0];
}

/** At least a few cells, and inside of the matrix. */
export function clampView({ left, top, width, height }: View, { rows, columns }: Pick<Matrix, 'rows' | 'columns'>): View {
  const w = Math.min(columns, Math.max(Math.min(4, columns), width));
  const h = Math.min(rows, Math.max(Math.min(4, rows), height));
  return { left: Math.min(columns - w, Math.max(0, left)), top: Math.min(rows - h, Math.max(0, top)), width: w, height: h };
}

/** `factor` below 1 shows less; (x, y) of [0, 1] is what stays in place. */
export const zoomed = (view: View, factor: number, { x, y }: { readonly x: number; readonly y: number }): View => ({
  left: view.left + x * view.width * (1 - factor),
  top: view.top + y * view.height * (1 - factor),
  width: view.width * factor,
  height: view.height * factor,
});
