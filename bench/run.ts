// Runs all sessions of one host with their contenders. Browser and Node both call it.
import type { Contender, Engine, Operands } from './contender.js';
import { dense } from './dense.js';
import { copies, multiplyAdds } from './limits.js';
import type { Pace } from './measure.js';
import { forced, overhead, planned, withoutSubgroups } from './ours.js';
import { gpuPeers, ortVersion, wasmPeers } from './peers.js';
import { type AdapterKind, cellName, type HostResult } from './results.js';
import { measureSessions, operandsOf, type Progress, weightBytes } from './sessions.js';
import { restrict, type Session, select } from './shapes.js';

export interface BenchOptions {
  readonly mode: 'quick' | 'full';
  /** Runs the cells whose names match; default all. */
  readonly only?: string;
  /** `all`: also peers that are known to be slow. `none`: only the library and the limits. */
  readonly peers?: 'all' | 'none';
  /** `kernels`: each kernel in every cell. `tiles`: each tile of each kernel. */
  readonly force?: 'kernels' | 'tiles';
  readonly rounds?: number;
  /** Only sessions with GPU peers, or only those with the CPU peer; a new browser for each is more reliable. */
  readonly part?: 'gpu' | 'cpu';
}

const PACE: Readonly<Record<BenchOptions['mode'], Pace>> = { quick: { rounds: 3, sample: 25 }, full: { rounds: 5, sample: 40 } };
const WARM_UP_MS = { quick: 1500, full: 5000 };

/** Chromium names any software adapter SwiftShader. The real SwiftShader has no shader-f16. */
export function kindOf({ adapterInfo, features }: Pick<GPUDevice, 'adapterInfo' | 'features'>): AdapterKind {
  const { vendor, architecture, device, description } = adapterInfo;
  const text = `${vendor} ${architecture} ${device} ${description}`;
  if (/llvmpipe|lavapipe/i.test(text)) return 'lavapipe';
  return /swiftshader/i.test(text) ? (features.has('shader-f16') ? 'lavapipe' : 'swiftshader') : 'gpu';
}

/** A device with all features and limits of the adapter, so that no peer lacks one. */
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
  const notes: string[] = [];
  if (o.peers !== 'none' && sessions.length > 0) {
    const version = await ortVersion(engine);
    if (version.startsWith('not here')) {
      notes.push(`onnxruntime-web ${version}`);
      o = { ...o, peers: 'none' };
    }
  }
  let spent: HostResult['overhead'];
  if (o.part !== 'cpu' && sessions[0]) {
    const total = sessions.reduce((sum, { rows }) => sum + rows.length, 0);
    report({ done: 0, total, share: 0, text: 'JavaScript of a call' });
    // Small, so that it is JavaScript's time.
    spent = await overhead(engine, operandsOf({ ...sessions[0], k: 256, n: 256, rows: [1] }));
  }
  const cells = await measureSessions(engine, {
    sessions,
    pace,
    contenders: (operands) => contendersOf(engine, operands, kind, o),
    warmUp: WARM_UP_MS[o.mode],
    report,
    note: (text) => void notes.push(text),
    signal,
  });
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
