// Everything that one host measures: sessions in order, each with its contenders, cell by cell. Browser and Node both call this.
import { makeCase } from '../e2e/cases.js';
import { makeData } from '../e2e/data.js';
import { BYTES } from '../src/dtype.js';
import { bytesOf, type Contender, type Engine, type Operands } from './contender.js';
import { dense } from './dense.js';
import { copies, multiplyAdds } from './limits.js';
import { measureCell, type Pace, type Verdict } from './measure.js';
import { forced, overhead, planned, withoutSubgroups } from './ours.js';
import { gpuPeers, ortVersion, wasmPeers } from './peers.js';
import { type AdapterKind, type Cell, cellName, type Family, type HostResult } from './results.js';
import { restrict, type Session, select } from './shapes.js';
import { check, PEER_TOLERANCE, type Truth, truthOf } from './truth.js';

export interface BenchOptions {
  readonly mode: 'quick' | 'full';
  /** Cells whose name it matches; all without it. */
  readonly only?: string;
  /** `all`: peers that are known to be slow, too. `none`: the library and the limits alone. */
  readonly peers?: 'all' | 'none';
  /** `kernels`: each kernel in every cell. `tiles`: each of their tiles. */
  readonly force?: 'kernels' | 'tiles';
  readonly rounds?: number;
  /** Only the sessions with GPU peers, or only those with the CPU peer: a browser is better started for each. */
  readonly part?: 'gpu' | 'cpu';
}

export interface Progress {
  /** Cells done and to do. */
  readonly done: number;
  readonly total: number;
  readonly text: string;
  readonly cell?: Cell;
}

const PACE: Readonly<Record<BenchOptions['mode'], Pace>> = { quick: { rounds: 3, sample: 25 }, full: { rounds: 5, sample: 40 } };
/** How long the peer's WebAssembly is used before anything is timed, so that the engine has compiled what is hot. */
const WARM_UP_MS = { quick: 1500, full: 5000 };

/** Chromium says SwiftShader of whatever its software adapter is; SwiftShader itself has no shader-f16. */
export function kindOf({ adapterInfo, features }: Pick<GPUDevice, 'adapterInfo' | 'features'>): AdapterKind {
  const { vendor, architecture, device, description } = adapterInfo;
  const text = `${vendor} ${architecture} ${device} ${description}`;
  if (/llvmpipe|lavapipe/i.test(text)) return 'lavapipe';
  return /swiftshader/i.test(text) ? (features.has('shader-f16') ? 'lavapipe' : 'swiftshader') : 'gpu';
}

/** A device with all that the adapter has, so that no peer lacks what it would have asked for. */
export async function openDevice(gpu: GPU): Promise<GPUDevice> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('no WebGPU adapter: nothing can be measured');
  const wanted = ['shader-f16', 'subgroups', 'timestamp-query', 'chromium-experimental-subgroup-matrix'];
  const requiredLimits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value = (adapter.limits as unknown as Record<string, unknown>)[name];
    if (typeof value === 'number') requiredLimits[name] = value;
  }
  const requiredFeatures = wanted.filter((name) => adapter.features.has(name)) as GPUFeatureName[];
  return adapter.requestDevice({ requiredFeatures, requiredLimits });
}

function operandsOf(session: Session): Operands {
  const { k, n, bits, group, dtype, offset, rows } = session;
  const mode = group === 0 ? 'channel' : 'group';
  // Peers know whole zero points only, which exact cases have; how long a product takes does not depend on its numbers.
  const c = makeCase({ m: Math.max(...rows), k, n, bits, dtype, offset, mode, groupSize: group, data: offset ? 'exact' : 'random' });
  return { session, ...makeData(c) };
}

const weightBytes = ({ tensors }: Operands): number => Object.values(tensors).reduce((sum, tensor) => sum + bytesOf(tensor).length, 0);

function contendersOf(engine: Engine, operands: Operands, kind: AdapterKind, o: BenchOptions): Contender[] {
  const { extras } = operands.session;
  const has = (extra: Session['extras'][number]): boolean => extras.includes(extra);
  if (has('wasm')) return [planned(engine, operands), ...(o.peers === 'none' ? [] : wasmPeers(engine, operands))];
  return [
    planned(engine, operands),
    ...(has('without-subgroups') ? [withoutSubgroups(engine, operands)] : []),
    ...(has('kernels') || o.force ? forced(engine, operands, o.force === 'tiles') : []),
    ...(o.peers === 'none' ? [] : gpuPeers(engine, operands, kind, o.peers === 'all')),
    ...(has('dense') ? [dense(engine, operands)] : []),
    ...copies(engine, weightBytes(operands)),
    ...multiplyAdds(engine, kind),
  ];
}

/** Runs a contender for a while: engines compile WebAssembly again and again while it is young. */
async function warmUp(contender: Contender | undefined, ms: number, signal: AbortSignal): Promise<void> {
  const run = await contender?.prepare(1);
  if (!run || typeof run === 'string') return;
  for (const end = performance.now() + ms; performance.now() < end; ) {
    signal.throwIfAborted();
    await run.call(4);
  }
  run.free();
}

const own = (family: Family): boolean => family === 'ours' || family === 'ours-other';

/** A wrong peer is no rival; a wrong answer of ours is a failure. */
const judgeBy =
  (truth: Truth, m: number, n: number) =>
  (family: Family, y: ArrayLike<number>): Verdict => {
    const { error, outside } = check(truth, y, m, n);
    if (own(family)) return { error, ...(outside > 0 && { wrong: `${outside} elements outside the reference's interval` }) };
    return { error, ...(!(error <= PEER_TOLERANCE) && { wrong: `error above ${PEER_TOLERANCE}` }) };
  };

export async function runHost(
  engine: Engine & { readonly host: string; readonly name: string },
  asked: BenchOptions,
  report: (progress: Progress) => void,
  signal: AbortSignal = new AbortController().signal,
): Promise<HostResult> {
  const start = performance.now();
  let o = asked;
  const { device } = engine;
  const kind = kindOf(device);
  const pace = { ...PACE[o.mode], ...(o.rounds && { rounds: o.rounds }) };
  const wanted = o.only ? new RegExp(o.only) : undefined;
  const selected = select({ mode: o.mode, kind, f16: device.features.has('shader-f16'), browser: engine.browser });
  const belongs = ({ extras }: Session): boolean => !o.part || extras.includes('wasm') === (o.part === 'cpu');
  const sessions = restrict(selected, (session, m) => belongs(session) && (wanted?.test(cellName({ ...session, m })) ?? true));
  const total = sessions.reduce((sum, { rows }) => sum + rows.length, 0);
  const notes: string[] = [];
  const cells: Cell[] = [];
  const say = (text: string, cell?: Cell): void => report({ done: cells.length, total, text, ...(cell && { cell }) });
  // One contender's invalid shader must not be taken for another's.
  const inScope = async <T>(work: () => Promise<T>): Promise<T> => {
    device.pushErrorScope('validation');
    let thrown = true;
    try {
      const result = await work();
      thrown = false;
      return result;
    } finally {
      const error = await device.popErrorScope();
      // biome-ignore lint/correctness/noUnsafeFinally: what the GPU says is the result of a scope that ended well
      if (error && !thrown) throw new Error(error.message);
    }
  };

  if (o.peers !== 'none' && sessions.length > 0) {
    const version = await ortVersion(engine);
    if (version.startsWith('not here')) {
      notes.push(`onnxruntime-web ${version}`);
      o = { ...o, peers: 'none' };
    }
  }
  let spent: HostResult['overhead'];
  for (const [i, session] of sessions.entries()) {
    signal.throwIfAborted();
    say(`${cellName({ ...session, m: session.rows[0]! })}: data, reference, sessions`);
    const operands = operandsOf(session);
    const truth = truthOf(operands);
    if (i === 0) say('JavaScript of a call');
    const contenders = contendersOf(engine, operands, kind, o);
    if (i === 0) {
      // Small, so that it is JavaScript's time.
      if (o.part !== 'cpu') spent = await overhead(engine, operandsOf({ ...session, k: 256, n: 256, rows: [1] }));
      const peer = contenders.find(({ family }) => family === 'ort-gpu' || family === 'ort-wasm');
      await warmUp(peer, WARM_UP_MS[o.mode], signal).catch((error: Error) => notes.push(`${peer?.name}: ${error.message}`));
    }
    try {
      for (const m of session.rows) {
        const { k, n, bits, group, dtype, offset } = session;
        const name = cellName({ ...session, m });
        const note = (text: string): void => void notes.push(`${name}: ${text}`);
        const timings = await measureCell(contenders, {
          m,
          pace,
          say: (text) => say(`${name}: ${text}`),
          judge: judgeBy(truth, m, n),
          signal,
          note,
          inScope,
        });
        const bytes = weightBytes(operands) + m * (k + n) * BYTES[dtype];
        const cell = { m, k, n, bits, group, dtype, offset, bytes, timings };
        cells.push(cell);
        say(name, cell);
      }
    } finally {
      for (const contender of contenders) await contender.destroy();
    }
  }
  const { vendor, architecture, device: id, description } = device.adapterInfo;
  return {
    host: engine.host,
    kind,
    adapter: { vendor, architecture, device: id, description },
    features: [...device.features].sort(),
    engine: engine.name,
    cells,
    ...(spent && { overhead: spent }),
    notes,
    seconds: (performance.now() - start) / 1000,
  };
}
