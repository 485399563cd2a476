// Heatmaps of the buffers: codes, weights and their errors share one view; y and its error share another.
import { useSignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { widthOf } from '../../../src/problem/code-width.js';
import { type Cell, Heatmap, type View } from '../../ui/heatmap.js';
import { wholeView } from '../../ui/heatmap-draw.js';
import { short, whole } from '../../ui/numbers.js';
import { Histogram } from './histogram.js';
import type { OperatorRun } from './jobs/index.js';

function useShared(size: { readonly rows: number; readonly columns: number }) {
  const view = useSignal<View>(wholeView(size));
  const cursor = useSignal<Cell | undefined>(undefined);
  return { ...size, view, cursor };
}

export function WeightMaps({ result }: { readonly result: OperatorRun }) {
  const { choice, weights, run } = result;
  const { rows, columns, codes, values, errors, scale, offset, groups, groupSize } = weights;
  const shared = { ...useShared({ rows, columns }), axes: ['n', 'k'] as const };
  const { zero, mask } = widthOf(choice.bits);
  const at = (n: number, k: number) => {
    const group = n * groups + Math.floor(k / groupSize);
    return { i: n * columns + k, group: Math.floor(k / groupSize), s: scale[group]!, o: offset?.[group] };
  };
  const of = (n: number, k: number): string => {
    const { i, group, s, o } = at(n, k);
    const place = groups > 1 ? `group ${group}, ` : '';
    return `${place}code ${codes[i]}, scale ${short(s, 4)}${o === undefined ? '' : `, offset ${short(o)}`}, value ${short(values[i]!, 4)}`;
  };
  const formula = (n: number, k: number): string => {
    const { i, s, o } = at(n, k);
    const shift = o === undefined ? '' : o < 0 ? ` − ${short(-o)}` : ` + ${short(o)}`;
    return `(${codes[i]} − ${zero}${shift}) · ${short(s, 4)} = ${short(values[i]!, 4)}`;
  };
  const before = (n: number, k: number): string => {
    const { i } = at(n, k);
    return `${short(errors[i]!, 4)}; was ${short(values[i]! - errors[i]!, 4)}`;
  };
  const cut = rows < choice.n || columns < choice.k;
  return (
    <section class="stack" aria-label="Weights">
      <h4>Weights W (n, k)</h4>
      <p class="operator-lead">
        {run
          ? 'Codes, scales and offsets are read back from the layer’s buffers on the GPU.'
          : 'Without a GPU these are the codes that a layer would load.'}
        {cut && ` Of (${whole(choice.n)}, ${whole(choice.k)}) the first (${whole(rows)}, ${whole(columns)}) are drawn.`}
      </p>
      <div class="columns operator-maps">
        <Heatmap title="Codes" data={codes} colours="sequential" domain={[0, mask]} {...shared} read={of} />
        <Heatmap title="Dequantized" data={values} {...shared} read={formula} />
        <Heatmap title="Error of the weights" data={errors} reduce="extreme" {...shared} read={before} />
      </div>
      <div class="operator-codes">
        <Histogram result={result} />
      </div>
    </section>
  );
}

export function OutputMaps({ result: { choice, want, run } }: { readonly result: OperatorRun }) {
  const { m: rows, n: columns } = choice;
  const shared = { ...useShared({ rows, columns }), axes: ['m', 'n'] as const };
  const int8 = want.dtype === 'int8';
  const error = useMemo(() => {
    const truth = int8 ? want.data : want.exact;
    return run && Float32Array.from(run.y, (value, i) => value - truth[i]!);
  }, [run, want, int8]);
  const y = run?.y ?? want.data;
  const number = (value: number): string => (int8 ? short(value) : short(value, 5));
  const of = (m: number, n: number): string => {
    const i = m * columns + n;
    return `${number(y[i]!)}; allowed ${number(want.low[i]!)} to ${number(want.high[i]!)}`;
  };
  return (
    <section class="stack" aria-label="Output">
      <h4>Output y (m, n)</h4>
      <div class="columns operator-maps">
        <Heatmap title={run ? 'y' : 'y of the CPU reference'} data={y} {...shared} read={of} />
        {error && (
          <Heatmap
            title="Error of y"
            data={error}
            reduce="extreme"
            {...shared}
            read={(m, n) => `${short(error[m * columns + n]!)}${int8 ? ' codes' : ''} from the reference`}
          />
        )}
      </div>
    </section>
  );
}
