// Draws the visible part of a matrix of any size into pixels, by one look-up for each pixel. Pure but for the buffer.
//
// Where several cells share a pixel, `sample` shows the middle cell and `extreme` the cell farthest from `centre`, so that one outlier
// among millions stays visible. It is found in a pyramid of halved matrices, which is made once.

export type Numbers = Float32Array | Float64Array | Uint8Array | Int8Array | Int32Array | Uint16Array;
export interface Matrix {
  readonly data: Numbers;
  readonly rows: number;
  readonly columns: number;
}
/** The visible part, in cells. */
export interface View {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}
export interface Level extends Matrix {
  /** Cells of the matrix that one cell of the level covers, down and across. */
  readonly down: number;
  readonly across: number;
}

export const wholeView = ({ rows, columns }: Pick<Matrix, 'rows' | 'columns'>): View => ({ left: 0, top: 0, width: columns, height: rows });

/** The matrix as one level. */
export const single = (matrix: Matrix): Level[] => [{ ...matrix, down: 1, across: 1 }];

/** An axis up to this length is not halved: a strip of few rows keeps its rows. */
const SHORT = 32;
/** The matrix, and halves of it until both axes are short. */
export function pyramid(matrix: Matrix, centre: number): Level[] {
  const levels = single(matrix);
  for (;;) {
    const { data, rows, columns, down, across } = levels.at(-1)!;
    if (rows <= SHORT && columns <= SHORT) return levels;
    const [r2, c2] = [rows > SHORT ? 2 : 1, columns > SHORT ? 2 : 1];
    const [halfRows, halfColumns] = [Math.floor(rows / r2), Math.floor(columns / c2)];
    const half = new Float32Array(halfRows * halfColumns);
    // An odd last row or column is merged into the one before, so that none is narrower than a pixel.
    for (let r = 0; r < halfRows; r++) {
      const end = r === halfRows - 1 ? rows : (r + 1) * r2;
      for (let c = 0; c < halfColumns; c++) {
        const stop = c === halfColumns - 1 ? columns : (c + 1) * c2;
        let best = data[r * r2 * columns + c * c2]!;
        let far = Math.abs(best - centre);
        for (let i = r * r2; i < end; i++) {
          for (let j = c * c2; j < stop; j++) {
            const value = data[i * columns + j]!;
            const distance = Math.abs(value - centre);
            if (distance > far) {
              far = distance;
              best = value;
            }
          }
        }
        half[r * halfColumns + c] = best;
      }
    }
    levels.push({ data: half, rows: halfRows, columns: halfColumns, down: down * r2, across: across * c2 });
  }
}

/** `levels`: `single` for `sample`, a `pyramid` for `extreme`. Numbers from low to high map to the 256 colours; NaN is transparent. */
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
  // The first level where every cell reaches a pixel; the matrix itself if each cell has a pixel.
  const whole = (cells: number): number => (cells > 1.0001 ? cells : 1);
  const [cellsDown, cellsAcross] = [whole(view.height / height), whole(view.width / width)];
  const {
    data,
    rows,
    columns,
    down,
    across: wide,
  } = levels.find((level) => level.down >= cellsDown && level.across >= cellsAcross) ?? levels.at(-1)!;
  const scale = high > low ? 255 / (high - low) : 0;
  const across = new Int32Array(width);
  for (let x = 0; x < width; x++) across[x] = Math.min(columns - 1, Math.floor((view.left + ((x + 0.5) * view.width) / width) / wide));
  let above = -1;
  for (let y = 0; y < height; y++) {
    const row = Math.min(rows - 1, Math.floor((view.top + ((y + 0.5) * view.height) / height) / down));
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

/** Smallest and largest finite number; [0, 0] if there is none. */
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

/** Limits a view to at least a few cells, inside the matrix. */
export function clampView({ left, top, width, height }: View, { rows, columns }: Pick<Matrix, 'rows' | 'columns'>): View {
  const w = Math.min(columns, Math.max(Math.min(4, columns), width));
  const h = Math.min(rows, Math.max(Math.min(4, rows), height));
  return { left: Math.min(columns - w, Math.max(0, left)), top: Math.min(rows - h, Math.max(0, top)), width: w, height: h };
}

/** `factor` below 1 shows less; the point (x, y) in [0, 1] stays in place. */
export const zoomed = (view: View, factor: number, { x, y }: { readonly x: number; readonly y: number }): View => ({
  left: view.left + x * view.width * (1 - factor),
  top: view.top + y * view.height * (1 - factor),
  width: view.width * factor,
  height: view.height * factor,
});
