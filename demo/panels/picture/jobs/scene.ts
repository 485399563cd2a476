// The page's picture: balls on a tiled floor under an evening sky, and a line of text, ray-traced once on demand. It has features that show
// rounding: long gradients, fine texture, sharp edges, a highlight. Numbers from 0 (black) to 1 (white), by rows.

export const SCENE_SIZE = 512;

type Vector = readonly [number, number, number];
const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const along = (from: Vector, direction: Vector, far: number): Vector => [
  from[0] + far * direction[0],
  from[1] + far * direction[1],
  from[2] + far * direction[2],
];
const unit = (a: Vector): Vector => along([0, 0, 0], a, 1 / Math.sqrt(dot(a, a)));
const mirrored = (a: Vector, normal: Vector): Vector => along(a, normal, -2 * dot(a, normal));
const within = (value: number): number => Math.min(1, Math.max(0, value));
const smooth = (from: number, to: number, value: number): number => {
  const t = within((value - from) / (to - from));
  return t * t * (3 - 2 * t);
};

// --------------------------------------------------------------------------------------------------------------- texture

/** A number of [0, 1) that depends on the whole numbers x, y. */
function hash(x: number, y: number): number {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 2 ** 32;
}
function noise(x: number, y: number): number {
  const [i, j] = [Math.floor(x), Math.floor(y)];
  const [u, v] = [smooth(0, 1, x - i), smooth(0, 1, y - j)];
  const above = hash(i, j) + u * (hash(i + 1, j) - hash(i, j));
  const below = hash(i, j + 1) + u * (hash(i + 1, j + 1) - hash(i, j + 1));
  return above + v * (below - above);
}
/** Fractal noise from 0 to 1. */
function rough(x: number, y: number, octaves: number): number {
  let sum = 0;
  for (let i = 0, size = 1; i < octaves; i++, size *= 2) sum += noise(x * size + 17 * i, y * size) / (2 * size);
  return sum / (1 - 0.5 ** octaves);
}

// ------------------------------------------------------------------------------------------------------------------ scene

interface Ball {
  readonly centre: Vector;
  readonly radius: number;
  readonly surface: 'plain' | 'stone' | 'mirror';
}
const BALLS: readonly Ball[] = [
  { centre: [-1.35, 1, 5.2], radius: 1, surface: 'plain' },
  { centre: [0.95, 0.85, 4.5], radius: 0.85, surface: 'stone' },
  { centre: [-0.15, 0.42, 3.35], radius: 0.42, surface: 'mirror' },
];
const SUN = unit([0.55, 0.62, -0.35]);
const EYE: Vector = [0, 1.45, -1.6];

function sky(direction: Vector): number {
  const height = direction[1];
  const glow = Math.exp(-14 * ((direction[0] + 0.28) ** 2 + (height - 0.02) ** 2));
  const cloud = smooth(0.5, 0.85, rough(direction[0] * 3 + 9, height * 14, 5)) * smooth(0.02, 0.16, height);
  return within(0.2 + 0.5 * Math.exp(-4.5 * Math.max(0, height)) + 0.28 * glow + 0.1 * cloud);
}

/** Distance to a ball, or 0. */
function reach(from: Vector, direction: Vector, { centre, radius }: Ball): number {
  const to: Vector = [centre[0] - from[0], centre[1] - from[1], centre[2] - from[2]];
  const middle = dot(to, direction);
  const inside = radius * radius - (dot(to, to) - middle * middle);
  return inside > 0 && middle > Math.sqrt(inside) + 1e-4 ? middle - Math.sqrt(inside) : 0;
}

/** 1 in the sun, 0 in shadow; the edge of a shadow gets wider with the ball's distance. */
function lit(at: Vector): number {
  let light = 1;
  for (const { centre, radius } of BALLS) {
    const to: Vector = [centre[0] - at[0], centre[1] - at[1], centre[2] - at[2]];
    const far = dot(to, SUN);
    if (far <= 0.01) continue;
    const past = Math.sqrt(Math.max(0, dot(to, to) - far * far));
    const edge = 0.04 + 0.12 * far;
    light *= smooth(radius - edge, radius + edge, past);
  }
  return light;
}

function floor(at: Vector, far: number): number {
  const tile = (Math.floor(at[0] * 1.25 + 100) + Math.floor(at[2] * 1.25)) & 1;
  const grain = rough(at[0] * 9, at[2] * 9, 4) - 0.5;
  let near = 1; // darker beneath the balls
  for (const { centre, radius } of BALLS)
    near *= 1 - 0.75 * Math.exp(-2.2 * (((at[0] - centre[0]) ** 2 + (at[2] - centre[2]) ** 2) / radius ** 2));
  const colour = (tile ? 0.62 : 0.22) + 0.12 * grain;
  const haze = 1 - Math.exp(-0.045 * far);
  return colour * (0.3 + 0.7 * lit(at)) * near * (1 - haze) + 0.72 * haze;
}

function trace(from: Vector, direction: Vector, depth = 0): number {
  let nearest = 0;
  let ball: Ball | undefined;
  for (const one of BALLS) {
    const far = reach(from, direction, one);
    if (far > 0 && (nearest === 0 || far < nearest)) [nearest, ball] = [far, one];
  }
  if (!ball) {
    const far = direction[1] < 0 ? -from[1] / direction[1] : Infinity;
    return far < 60 ? floor(along(from, direction, far), far) : sky(direction);
  }
  const at = along(from, direction, nearest);
  const normal = unit([at[0] - ball.centre[0], at[1] - ball.centre[1], at[2] - ball.centre[2]]);
  const bounced = mirrored(direction, normal);
  const shine = Math.max(0, dot(bounced, SUN));
  if (ball.surface === 'mirror') return within(0.06 + 0.8 * (depth < 2 ? trace(at, bounced, depth + 1) : 0.4) + 0.9 * shine ** 90);
  const spots = ball.surface === 'stone' ? rough(normal[0] * 3.2 + 5, normal[1] * 3.2 + normal[2] * 2, 6) : 0.5;
  const colour = ball.surface === 'stone' ? 0.18 + 0.8 * smooth(0.25, 0.75, spots) : 0.72;
  const around = 0.2 + 0.14 * normal[1];
  return within(colour * (around + 0.85 * Math.max(0, dot(normal, SUN)) * lit(along(at, normal, 1e-3))) + 0.35 * shine ** 30);
}

// ------------------------------------------------------------------------------------------------------------------- text

/** Letters of 5 × 7 dots with descenders; each number is a row. */
const LETTERS: Readonly<Record<string, readonly number[]>> = {
  a: [0, 0, 14, 1, 15, 17, 15],
  n: [0, 0, 22, 25, 17, 17, 17],
  t: [8, 8, 28, 8, 8, 9, 6],
  i: [4, 0, 12, 4, 4, 4, 14],
  q: [0, 0, 13, 19, 17, 19, 13, 1, 1],
  u: [0, 0, 17, 17, 17, 19, 13],
  4: [2, 6, 10, 18, 31, 2, 2],
  8: [14, 17, 17, 14, 17, 17, 14],
  ' ': [0, 0, 0, 0, 0, 0, 0],
};
function write(pixels: Float32Array, text: string, { x, y, size, ink }: { x: number; y: number; size: number; ink: number }): void {
  for (const [i, letter] of [...text].entries())
    for (const [row, dots] of LETTERS[letter]!.entries())
      for (let column = 0; column < 5; column++) {
        if (!((dots >> (4 - column)) & 1)) continue;
        for (let dy = 0; dy < size; dy++)
          for (let dx = 0; dx < size; dx++) pixels[(y + row * size + dy) * SCENE_SIZE + x + (6 * i + column) * size + dx] = ink;
      }
}

/** Traces the picture. Yields the finished share after a few rows, so that the caller can pause. */
export function* scene(): Generator<number, Float32Array<ArrayBuffer>> {
  const size = SCENE_SIZE;
  const ray = (column: number, row: number): number => trace(EYE, unit([column / size - 0.5, 0.42 - row / size, 0.95]));
  const once = new Float32Array(size ** 2);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) once[row * size + column] = ray(column + 0.5, row + 0.5);
    if (row % 16 === 15) yield row / size;
  }
  const pixels = once.slice();
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const i = row * size + column;
      const here = once[i]!;
      const differs = (j: number): boolean => Math.abs((once[j] ?? here) - here) > 0.05;
      // Four more rays at edges.
      if (differs(i - 1) || differs(i + 1) || differs(i - size) || differs(i + size)) {
        let sum = here;
        for (const dy of [0.2, 0.8]) for (const dx of [0.2, 0.8]) sum += ray(column + dx, row + dy);
        pixels[i] = sum / 5;
      }
      const corner = (column / size - 0.5) ** 2 + (row / size - 0.5) ** 2;
      pixels[i] = within(pixels[i]! * (1.06 - 0.5 * corner) + 0.008 * (hash(column, row + 999) - 0.5));
    }
  write(pixels, 'antiquant', { x: 24, y: 462, size: 4, ink: 0.96 });
  write(pixels, 'int4', { x: 420, y: 462, size: 2, ink: 0.96 });
  write(pixels, 'int8', { x: 420, y: 480, size: 1, ink: 0.96 });
  return pixels;
}
