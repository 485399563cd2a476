// loadLayers: several layers of a file, one after the other. Layers that can share a dispatch are packed side by side at once, into the
// buffers that forwardMany would copy them to.
import { checkDevice } from '../arguments/gpu-objects.js';
import { whileAlive } from '../gpu/device.js';
import { allTaken, guarded } from '../gpu/guard.js';
import { asJoint, copyColumns, jointBuffers, type SideBySide, sharedRoles, sideBySide } from '../layer/joined-weights.js';
import { bundleTogether, type Group, runsOf } from '../layer/layer-group.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { finishLoad } from '../layer/load.js';
import type { PieceSource } from '../layer/piece-source.js';
import { besides, packedLayout } from '../plan/packed-layout.js';
import type { Progress } from '../progress.js';
import { checkLoadOptions, checkSources, type LayersToLoad, type LoadedLayers, type LoadLayersOptions } from './load-layers-options.js';
import { type Context, Member } from './member.js';
import { runsOfKind } from './piece-size.js';
import { Traffic } from './traffic.js';

/**
 * Loads layers of a file (`findLayers`) as LinearWeightQuants, in lists as the sources are. Layers of a list in the list read the same x: those
 * that can share a dispatch are loaded side by side into shared buffers, at most four together, so that `forwardMany` of exactly this list
 * takes one dispatch from its first call, and nothing is copied. A file does not say which layers read the same x, so the lists do. Others
 * are loaded as by `loadLayer`. Reads on while the GPU takes what was read: at most 32 MiB are in flight, and 64 MiB in memory, but for a
 * layer that cannot be cut, which is read at once. If a step fails, all layers of the call are freed, and nothing is in flight any more.
 * @param sources of `layers`, or of `floats`, which `quantize` is for: the tensor, or `{ weight, bias }`
 * @throws ArgumentError, FormatError, ReadError, UnsupportedError, GpuError, DeviceLostError; the reason of `signal`
 * @example
 * const { layers } = await findLayers(await openModel(file));
 * const of = (name) => layers.find((layer) => layer.name === `model.layers.0.${name}`);
 * const [[q, k, v], o] = await loadLayers(device, [[of('self_attn.q_proj'), of('self_attn.k_proj'), of('self_attn.v_proj')], of('self_attn.o_proj')], {
 *   dtype: 'float16', onProgress: ({ phase, done, total }) => { bars[phase].value = done / total; },
 * });
 * const ys = forwardMany([q, k, v], x); // one dispatch
 */
export async function loadLayers<const T extends LayersToLoad>(
  device: GPUDevice,
  sources: T,
  options: LoadLayersOptions = {},
): Promise<LoadedLayers<T>> {
  checkDevice(device);
  return (await loadThrough(new Traffic(device), sources, options)) as LoadedLayers<T>;
}

/** The same. `traffic` counts what is on its way. */
export async function loadThrough(
  traffic: Traffic,
  sources: LayersToLoad,
  options: LoadLayersOptions,
): Promise<(LinearWeightQuant | LinearWeightQuant[])[]> {
  const { device } = traffic;
  const given = checkLoadOptions(options);
  const lists = checkSources(device, sources, given);
  const total = lists.flatMap((list) => list.sources).reduce((sum, { bytes }) => sum + bytes, 0);
  const loader = new Loader({ traffic, options: given, tell: teller(total, given.onProgress) });
  try {
    const loaded: (LinearWeightQuant | LinearWeightQuant[])[] = [];
    for (const { sources, listed } of lists) {
      const layers = await loader.loadList(sources);
      loaded.push(listed ? layers : layers[0]!);
    }
    await traffic.idle();
    await whileAlive(device, traffic.sound());
    given.signal?.throwIfAborted();
    return loaded;
  } catch (error) {
    traffic.close();
    await loader.abandon();
    await traffic.idle();
    throw error;
  }
}

/** Sums bytes by phase. */
function teller(total: number, onProgress: ((progress: Progress) => void) | undefined): Context['tell'] {
  const done = { read: 0, pack: 0 };
  return (phase, bytes) => {
    done[phase] += bytes;
    onProgress?.({ phase, done: done[phase], total });
  };
}

class Loader {
  readonly #context: Context;
  readonly #members: Member[] = [];
  /** Buffers of layers side by side, until the layers have them. */
  #joint: ReadonlyMap<string, GPUBuffer> = new Map();

  constructor(context: Context) {
    this.#context = context;
  }

  async loadList(sources: readonly PieceSource[]): Promise<LinearWeightQuant[]> {
    const layers: LinearWeightQuant[] = [];
    const together: Group[] = [];
    for (const run of runsOfKind(sources, this.#context.traffic.limits.piece)) {
      const members: Member[] = [];
      for (const i of run) members.push(await this.#open(sources[i]!));
      // By the first pieces, since the header does not tell everything; of floats the first layer's tells all, and the others have no buffers yet.
      for (const member of members) if (!member.source.quantized || member === members[0]) await member.read();
      const kinds = members.map((member) => member.kindBy(member.matrix ?? members[0]!.matrix!));
      for (const alike of runsOf(kinds)) {
        const { weights, settings } = kinds[alike[0]!]!;
        const columns = alike.map((j) => kinds[j]!.weights.n);
        const place = alike.length > 1 ? sideBySide(weights, columns, settings.caps) : undefined;
        const own = alike.map((j) => members[j]!);
        if (place) together.push({ ...(await this.#loadBeside(own, place)), members: alike.map((j) => run[j]!) });
        else for (const one of own) await this.#loadAlone(one);
      }
      members.forEach(({ layer }, j) => {
        layers[run[j]!] = layer;
        this.#context.traffic.watch(layer.loaded.done);
      });
    }
    if (together.length > 0) bundleTogether(layers, together);
    return layers;
  }

  async #open(source: PieceSource): Promise<Member> {
    const bias = await source.bias(this.#context.options.signal);
    const member = new Member(this.#context, source, bias);
    this.#members.push(member);
    return member;
  }

  async #loadAlone(member: Member): Promise<void> {
    await member.fill();
    member.end();
  }

  async #loadBeside(members: readonly Member[], place: SideBySide): Promise<Omit<Group, 'members'>> {
    const { traffic } = this.#context;
    const { device } = traffic;
    const what = `weights of ${members.length} layers`;
    const { result: buffers, errors: allocated } = guarded(device, what, () => jointBuffers(device, place));
    this.#joint = buffers;
    const shared = new Map(sharedRoles(place).map((role) => [role, buffers.get(role)!] as const));
    const loads = [];
    for (const [i, member] of members.entries()) {
      const layout: typeof packedLayout = (weights, caps) =>
        besides(packedLayout(weights, caps), place.packed, { begin: place.begins[i]!, weights: place.weights });
      const load = await member.fill({ layout, shared });
      load.done.unshift(allocated);
      loads.push(load);
    }
    // Zero points go only if no layer needs them: layers side by side have one format.
    const symmetric = loads.every((load) => load.symmetric);
    for (const load of loads) load.symmetric = symmetric;
    for (const member of members) member.end();
    const end = finishLoad({ ...place, buffers, done: [], symmetric });
    const layers = members.map(({ layer }) => layer.loaded);
    const columns = { ...place, weights: end.weights, packed: end.packed };
    const { errors: copied } = guarded(device, what, () => copyColumns(layers, columns, buffers, ['columns']));
    const done = allTaken(...layers.map((own) => own.done), copied);
    traffic.watch(done);
    const { joint, moved } = asJoint(layers, columns, { buffers, done });
    for (const [i, { layer }] of members.entries()) layer.move(moved[i]!);
    this.#joint = new Map();
    return { loaded: joint, begins: place.begins };
  }

  /** Frees all layers. */
  async abandon(): Promise<void> {
    for (const buffer of this.#joint.values()) buffer.destroy();
    await Promise.all(this.#members.map((member) => member.abandon()));
  }
}
