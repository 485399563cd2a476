// Two charts of a host: how many times faster than the fastest peer, and how much of the adapter's limit, product by product.
// Observable Plot draws them: categories against a logarithmic axis need one call each, and its SVG takes the page's colours.
import * as Plot from '@observablehq/plot';
import { ratio, share } from './report.js';
import { type Cell, cellName, type HostResult } from './results.js';

/** Told apart on light and on dark ground. */
const COLOURS = ['#3b78e0', '#0f9494', '#4a9e3f', '#b08d00', '#dd7a1f', '#d2485b', '#a05cc8'];
const LEFT = 132;
const ROW = 24;

interface Point {
  readonly product: string;
  /** What the colour says. */
  readonly series: string;
  readonly value: number;
}

const productOf = (cell: Cell): string => cellName(cell).replace(/ M=\d+$/, '');

function chart(
  title: string,
  note: string,
  points: readonly Point[],
  width: number,
  x: Plot.ScaleOptions,
  marks: readonly Plot.Markish[],
): HTMLElement {
  const figure = document.createElement('figure');
  figure.className = 'chart';
  const series = [...new Set(points.map((point) => point.series))];
  const products = [...new Set(points.map(({ product }) => product))];
  const plot = Plot.plot({
    width,
    height: ROW * products.length + 60,
    marginLeft: LEFT,
    marginRight: 24,
    marginTop: 8,
    marginBottom: 44,
    x: { grid: true, ...x },
    y: { label: null, domain: products },
    color: { domain: series, range: COLOURS.slice(0, series.length) },
    marks: [
      ...marks,
      Plot.dot(points, {
        x: 'value',
        y: 'product',
        fill: 'series',
        r: 5,
        title: ({ product, series: name, value }: Point) => `${product}, ${name}: ${value.toPrecision(3)}`,
      }),
    ],
    ariaLabel: title,
  });
  const heading = document.createElement('h3');
  heading.textContent = title;
  const legend = document.createElement('ul');
  legend.className = 'legend';
  series.forEach((name, i) => {
    const item = document.createElement('li');
    item.textContent = name;
    item.style.setProperty('--mark', COLOURS[i % COLOURS.length]!);
    legend.append(item);
  });
  const caption = document.createElement('figcaption');
  caption.textContent = note;
  figure.append(heading, legend, plot, caption);
  return figure;
}

const defined = (points: readonly (Omit<Point, 'value'> & { readonly value: number | undefined })[]): Point[] =>
  points.filter((point): point is Point => point.value !== undefined && Number.isFinite(point.value));

export function charts({ cells }: HostResult, width: number): HTMLElement[] {
  const ordered = [...cells].sort((a, b) => a.m - b.m);
  const ratios = defined(ordered.map((cell) => ({ product: productOf(cell), series: `M = ${cell.m}`, value: ratio(cell) })));
  const shares = defined(
    ordered.flatMap((cell) => [
      { product: productOf(cell), series: `bytes of the copy kernel, M = ${cell.m}`, value: share(cell, 'copy') },
      { product: productOf(cell), series: `multiply-adds of the best kernel, M = ${cell.m}`, value: share(cell, 'multiply-add') },
    ]),
  ).map((point) => ({ ...point, value: 100 * point.value }));
  const out: HTMLElement[] = [];
  if (ratios.length > 0) {
    const note = 'Time of the fastest right variant of onnxruntime-web on this device over ours, in the same round; median over rounds.';
    const line = Plot.ruleX([1], { stroke: 'currentColor' });
    const scale = { type: 'log', label: 'times faster', ticks: 6, tickFormat: 'd' } as const;
    out.push(chart('Ratio to the fastest peer', note, ratios, width, scale, [line]));
  }
  if (shares.length > 0) {
    const note = 'What the product reads and writes, or multiplies and adds, in a second, of what the limit does in the same round.';
    const line = Plot.ruleX([100], { stroke: 'currentColor', strokeDasharray: '3 3' });
    const scale = { label: 'percent', domain: [0, Math.max(100, ...shares.map(({ value }) => value))] };
    out.push(chart('Share of the limit', note, shares, width, scale, [line, Plot.ruleX([0])]));
  }
  return out;
}
