// Packed weights of several layers in one set of buffers, column after column, so that one dispatch multiplies x with all of them.
import { UnsupportedError } from '../errors.js';
import { packedLayout } from '../plan/packed-layout.js';
import { freeProduct, type Home, makeProduct, type Product } from './loaded-weights.js';

/** Each layer starts at a multiple of so many columns: its part of every buffer can then be bound on its own (256 bytes of halves). */
const ALIGN_COLUMNS = 128;
const USAGE = 0x80 | 0x4 | 0x8; // GPUBufferUsage.STORAGE | COPY_SRC | COPY_DST

export interface SideBySide {
  /** All columns, with gaps between the layers' where they do not end at a multiple. */
  readonly product: Product;
  /** The layers' own products, their weights in the shared buffers. */
  readonly moved: readonly Product[];
  /** First column of each. */
  readonly begins: readonly number[];
}

/** Products of one format and one slab each, joined; undefined if together they do not fit a binding. Enqueues copies. */
export function sideBySide(products: readonly Product[]): SideBySide | undefined {
  const [first] = products as [Product];
  const { device, caps, weights } = first;
  let n = 0;
  const begins = products.map((product) => {
    const begin = Math.ceil(n / ALIGN_COLUMNS) * ALIGN_COLUMNS;
    n = begin + product.weights.n;
    return begin;
  });
  const joint = { ...weights, n };
  const packed = packedLayout(joint, caps);
  if (packed.slabs.length > 1) return undefined;
  device.pushErrorScope('out-of-memory');
  const buffers = new Map<string, GPUBuffer>();
  for (const [role, size] of Object.entries(packed.sizes)) {
    buffers.set(role, device.createBuffer({ label: `antiquant ${role} of ${products.length} layers`, size, usage: USAGE }));
  }

  const memory = device.popErrorScope().then((error) => {
    if (error)
      throw new UnsupportedError(`weights of ${products.length} layers`, [`no GPU memory for them side by side: ${error.message}`]);
  });

  const pitch = packed.slabs[0]!.pitch;
  /** Rows of every role, and bytes of a quad in it. */
  const shape = (role: string): { readonly rows: number; readonly quad: number } => {
    const rows = role === 'w0' ? packed.words : role === 'columnBias' ? 1 : role === 'columnQuant' ? 2 : weights.groups;
    return { rows, quad: packed.sizes[role]! / (rows * pitch) };
  };
  const encoder = device.createCommandEncoder({ label: 'antiquant side by side' });
  products.forEach(({ packed: own, buffers: from }, i) => {
    const slab = own.slabs[0]!;
    for (const [role, to] of buffers) {
      const { rows, quad } = shape(role);
      const source = own.starts?.[role] ?? 0;
      const step = (role.startsWith('column') ? slab.quads : slab.pitch) * quad;
      for (let row = 0; row < rows; row++) {
        const at = (row * pitch + begins[i]! / 4) * quad;
        encoder.copyBufferToBuffer(from.get(role)!, source + row * step, to, at, slab.quads * quad);
      }
    }
  });
  device.queue.submit([encoder.finish()]);

  const done = Promise.all([memory, ...products.map((product) => product.done)]).then(() => {});
  done.catch(() => {}); // reported by prepare() and by reading an output
  const product = makeProduct({ ...first, weights: joint, packed, buffers, home: undefined, done });
  const shared = [...buffers.keys()].filter((role) => !role.startsWith('column'));
  const home: Home = { buffers: shared.map((role) => buffers.get(role)!), users: products.length, close: () => freeProduct(product) };
  // Bias and output scale stay each layer's own: kernels see those of all columns.
  const moved = products.map((own, i): Product => {
    const begin = begins[i]!;
    const starts = Object.fromEntries(shared.map((role) => [role, (begin / 4) * shape(role).quad]));
    const sizes = { ...own.packed.sizes, ...Object.fromEntries(shared.map((role) => [role, packed.sizes[role]! - starts[role]!])) };
    const slabs = own.packed.slabs.map((slab) => ({ ...slab, pitch }));
    const both = new Map([...own.buffers, ...shared.map((role) => [role, buffers.get(role)!] as const)]);
    return makeProduct({ ...own, packed: { ...own.packed, slabs, sizes, starts }, buffers: both, home });
  });
  return { product, moved, begins };
}
