// The jobs of the panel "Your GPU, measured": the bench of this project (bench/) in the page's Worker, and the library's tuning.
import type { Contender, Engine, Operands } from '../../../../bench/contender.js';
import { dense } from '../../../../bench/dense.js';
import { copies, multiplyAdds } from '../../../../bench/limits.js';
import { planned } from '../../../../bench/ours.js';
import { gpuPeers, wasmPeers } from '../../../../bench/peers.js';
import type { AdapterKind, Cell, HostResult } from '../../../../bench/results.js';
import { kindOf, openDevice } from '../../../../bench/run.js';
import { measureSessions, weightBytes } from '../../../../bench/sessions.js';
import { PEER_TOLERANCE, sampleRows } from '../../../../bench/truth.js';
import { capsOf, DeviceLostError, tuning } from '../../../../src/index.js';
import { loadTuning } from '../../../../src/tuning/tuning.js';
import { VERSION } from '../../../../src/version.js';
import type { JobContext } from '../../../worker/rpc.js';
import { measureLlm } from './llm.js';
import { loadOrt, ortOf } from './ort.js';
import { ORT_BUILDS, ORT_FILES, type OrtBuild, type Settings, sessionOf } from './settings.js';
import { tune, untuned } from './tuning.js';

export interface Measured {
  readonly settings: Settings;
  /** The form that `npm run bench` writes; `cells` grows during the run. */
  readonly host: HostResult;
  readonly versions: Readonly<Record<string, string>>;
  /** The adapter is software: times are those of CPU cores. */
  readonly software: boolean;
  /** The check of answers before timing: rows of y that are compared, and the tolerance for contenders other than ours. */
  readonly checked: { readonly rows: number; readonly tolerance: number };
  /** Is the page isolated, so that WebAssembly may have threads? */
  readonly isolated: boolean;
  readonly date: string;
}

const WARM_UP_MS = 1000;
/** Share of a run's progress for loading. */
const LOADING = 0.2;

/**
 * A separate device for the bench, with all features and limits of the adapter, so that no peer lacks one. It stays open between runs,
 * since onnxruntime-web keeps using it.
 */
let opened: Promise<GPUDevice> | undefined;
async function benchDevice(lent: GPUDevice): Promise<GPUDevice> {
  opened ??= openDevice(navigator.gpu).then((device) => {
    device.lost.then(() => {
      opened = undefined;
    });
    tuning(device).import(tuning(lent).export());
    return device;
  });
  try {
    return await opened;
  } catch (error) {
    opened = undefined;
    throw error;
  }
}

/** Measures the limits beside every product, since the page draws a roofline. */
const everywhere = (contender: Contender, m: number): Contender => ({ ...contender, prepare: () => contender.prepare(m) });
/** Notes why a contender does not take part. */
const aloud = (contender: Contender, note: (text: string) => void): Contender => ({
  ...contender,
  prepare: async (m) => {
    const run = await contender.prepare(m);
    if (typeof run === 'string' && run) note(`M = ${m}: ${contender.name} was left out: ${run}`);
    return run;
  },
});

function contendersOf(
  engine: Engine,
  operands: Operands,
  { peers, dense: withDense }: Settings,
  kind: AdapterKind,
  note: (text: string) => void,
) {
  const has = (build: OrtBuild): boolean => peers.includes(build);
  // The older JSEP provider needs a third build and a separate device: `npm run bench` has it, the page does not.
  const gpu = has('webgpu') ? gpuPeers(engine, operands, kind, false).filter(({ name }) => name !== 'ort jsep') : [];
  return [
    planned(engine, operands),
    untuned(engine, operands),
    ...[...gpu, ...(has('wasm') ? wasmPeers(engine, operands) : [])].map((one) => aloud(one, note)),
    ...(withDense ? [dense(engine, operands)] : []),
    ...copies(engine, weightBytes(operands)).map((one) => everywhere(one, 1)),
    ...multiplyAdds(engine, kind).map((one) => everywhere(one, 128)),
  ];
}

interface RunArgs {
  readonly settings: Settings;
  /** Folder of onnxruntime-web's files. */
  readonly folder: string;
  /** The browser's user agent. */
  readonly engine: string;
  /** Measured choices of the page's device, where this Worker has another one. */
  readonly choices?: ReturnType<ReturnType<typeof tuning>['export']>;
}

async function run({ settings, folder, engine: name, choices }: RunArgs, context: JobContext<Measured>): Promise<Measured> {
  const start = performance.now();
  const notes: string[] = [];
  const lent = await context.device();
  const device = await benchDevice(lent);
  if (choices) {
    await tuning(lent).clear({ store: null });
    tuning(lent).import(choices);
    await share(lent);
  }
  const lost = new AbortController();
  let over = false;
  device.lost.then(({ reason, message }) => over || lost.abort(new DeviceLostError(reason, message)));
  const signal = AbortSignal.any([context.signal, lost.signal]);

  const asked = ORT_BUILDS.filter((build) => settings.peers.includes(build));
  const peers: OrtBuild[] = [];
  for (const [i, build] of asked.entries()) {
    const progress = (share: number, text: string): void => context.progress((LOADING * (i + share)) / asked.length, text);
    try {
      await loadOrt(build, { folder, progress, signal });
      peers.push(build);
    } catch (error) {
      signal.throwIfAborted();
      notes.push(`onnxruntime-web (${ORT_FILES[build].wasm.file}) could not be loaded: ${(error as Error).message}`);
    }
  }

  const { software } = capsOf(lent);
  const kind = kindOf(device);
  const { vendor, architecture, device: id, description } = device.adapterInfo;
  const version = peers[0] && (await ortOf(ORT_FILES[peers[0]].script.file)).env.versions.web;
  const cells: Cell[] = [];
  const soFar = (): Measured => ({
    settings,
    host: {
      host: 'this page',
      kind,
      adapter: { vendor, architecture, device: id, description },
      features: [...device.features].sort(),
      engine: name,
      cells: [...cells],
      notes: [...notes],
      seconds: (performance.now() - start) / 1000,
    },
    versions: { antiquant: VERSION, ...(version && { 'onnxruntime-web': version }) },
    software,
    checked: { rows: sampleRows(settings.rows).length, tolerance: PEER_TOLERANCE },
    isolated: globalThis.crossOriginIsolated,
    date: new Date().toISOString(),
  });
  const engine: Engine = {
    device,
    wait: async (used) => void (await used.queue.onSubmittedWorkDone()),
    ort: ortOf,
    browser: true,
  };
  const loading = asked.length > 0 ? LOADING : 0;
  const note = (text: string): void => void notes.push(text);
  try {
    await measureSessions(engine, {
      sessions: [sessionOf(settings)],
      pace: { rounds: settings.rounds, sample: settings.sample },
      contenders: (operands) => contendersOf(engine, operands, { ...settings, peers }, software ? 'swiftshader' : kind, note),
      warmUp: peers.length > 0 ? WARM_UP_MS : 0,
      note,
      signal,
      breathe: context.breathe,
      report: ({ done, total, share, text, cell }) => {
        if (cell) {
          cells.push(cell);
          context.part(soFar());
        }
        context.progress(loading + (1 - loading) * ((done + share) / total), `${Math.min(done + 1, total)} of ${total}: ${text}`);
      },
    });
  } finally {
    over = true;
  }
  return soFar();
}

/** Copies the findings about a device to the bench's device. */
async function share(from: GPUDevice): Promise<void> {
  const own = await opened;
  if (!own) return;
  await tuning(own).clear({ store: null });
  tuning(own).import(tuning(from).export());
}

export const jobs = {
  run,
  llm: measureLlm,
  tune: async (settings: Settings & { readonly budget: number }, context: JobContext) => {
    const result = await tune(settings, context);
    await share(await context.device());
    return result;
  },
  /** Deletes every measured choice for this adapter, in memory and in the browser's store. */
  forget: async (_: null, context: JobContext): Promise<number> => {
    const device = await context.device();
    await loadTuning(device, undefined);
    const count = Object.keys(tuning(device).export().choices).length;
    await tuning(device).clear();
    await share(device);
    return count;
  },
  /** What this Worker's device has measured, for that of another. */
  choices: async (_: undefined, context: JobContext) => {
    const device = await context.device();
    await loadTuning(device, undefined);
    return tuning(device).export();
  },
  /** Keeps the device from other work until it is cancelled, while another Worker measures. */
  hold: async (_: undefined, context: JobContext): Promise<void> => {
    await context.device();
    await new Promise((_, reject) => context.signal.addEventListener('abort', () => reject(context.signal.reason), { once: true }));
  },
};
