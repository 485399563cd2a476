// The opened file in a few numbers, and values of its header.
import { type Fact, Facts } from '../../ui/facts.js';
import { Notice } from '../../ui/notice.js';
import { bytes, counted, whole } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import type { HeldBits } from './jobs/held.js';
import type { LayerFacts, OpenedModel } from './jobs/open.js';
import { held } from './state.js';

const NAMES: Readonly<Record<string, string>> = { safetensors: 'safetensors', gguf: 'GGUF', mlc: 'MLC', ONNX: 'ONNX' };

/** `14 × GGUF Q4_K, 2 × GGUF Q6_K`; experts of a tensor count as the layers that they are. */
function counts(layers: readonly LayerFacts[]): string {
  const found = new Map<string, number>();
  for (const { format, experts = 1 } of layers) found.set(format, (found.get(format) ?? 0) + experts);
  return [...found].map(([format, count]) => `${whole(count)} × ${format}`).join(', ');
}

const weightsIn = (layers: readonly LayerFacts[]): number => layers.reduce((sum, { n, k, experts = 1 }) => sum + experts * n * k, 0);
const matricesIn = (layers: readonly LayerFacts[]): number => layers.reduce((sum, { experts = 1 }) => sum + experts, 0);

/** Bits of all matrices together, each as often as it has experts. */
const bitsOf = (layers: readonly LayerFacts[], each: (layer: LayerFacts, index: number) => number): number =>
  layers.reduce((sum, layer, i) => sum + (layer.experts ?? 1) * layer.n * layer.k * each(layer, i), 0);

/** The sums of the file: bits a weight of all its matrices, there and here. */
function sumsOf({ layers, floats }: OpenedModel, here: HeldBits | undefined): Fact[] {
  const weights = weightsIn(layers) + weightsIn(floats);
  if (weights === 0) return [];
  const there = bitsOf(layers, ({ fileBits }) => fileBits) + bitsOf(floats, ({ fileBits }) => fileBits);
  // A layer that could not be read has no bits here, and then there is no sum; the list says which it is.
  const complete = here?.layers.every((bits) => bits !== undefined);
  const now = here && complete ? bitsOf(layers, (_, i) => here.layers[i]!) + bitsOf(floats, (_, i) => here.floats[i]!) : undefined;
  const value = `${(there / weights).toFixed(2)} in the file${now === undefined ? '' : `, ${(now / weights).toFixed(2)} here`}`;
  const sizes = [
    `${whole(weights)} weights take ${bytes(there / 8)} in the file`,
    ...(now === undefined ? [] : [`and ${bytes(now / 8)} on this GPU${floats.length > 0 ? ', float matrices as int8' : ''}`]),
  ];
  return [['Bits a weight', value, sizes.join(' ')]];
}

export function ModelFacts({ file }: { readonly file: OpenedModel }) {
  const { layers, floats, refused, rows, metadata, config } = file;
  const total = rows.reduce((sum, row) => sum + row.bytes, 0);
  const items: Fact[] = [
    [
      'File',
      <span key="file" class="mono">
        {file.name}
      </span>,
      `${NAMES[file.kind] ?? file.kind}, ${bytes(file.bytes)} in ${counted(file.files, 'file')}`,
    ],
    ['Tensors', whole(rows.length), bytes(total)],
    [
      'Quantized layers',
      whole(matricesIn(layers)),
      layers.length > 0 ? `${counts(layers)}; ${whole(weightsIn(layers))} weights` : 'none in a format that this library reads',
    ],
    ['Float matrices', whole(floats.length), floats.length > 0 ? `${counts(floats)}; ${whole(weightsIn(floats))} weights` : undefined],
    ...sumsOf(file, held.value),
    ...(config ? [['Configuration', config] as const] : []),
  ];
  return (
    <section class="card stack model-glance" aria-label="The file">
      <Facts items={items} />
      {refused.length > 0 && (
        <details class="model-refused">
          <summary>
            {counted(refused.length, 'layer')} {refused.length === 1 ? 'was' : 'were'} refused
          </summary>
          <div class="stack">
            {refused.slice(0, 50).map(({ name, format, problem }) => (
              <Notice key={name} kind="warn">{`${name} (${format}). ${problem}.`}</Notice>
            ))}
            {refused.length > 50 && <p>{`And ${whole(refused.length - 50)} more: the list below has all of them.`}</p>}
          </div>
        </details>
      )}
      {metadata.length > 0 && (
        <details>
          <summary>{counted(metadata.length, 'value')} of the header</summary>
          <div class="model-metadata">
            <Table caption="Single values of the header" hideCaption columns={[{ title: 'Name' }, { title: 'Value' }]} rows={metadata} />
          </div>
        </details>
      )}
    </section>
  );
}
