// Measured choices of a device: read from a store once, measured where they are missing, one at a time, and written back.
import { anything, fields, onlyFields, optional, reading } from '../arguments/check.js';
import { sharedMap } from '../arguments/copies.js';
import { checkDevice } from '../arguments/gpu-objects.js';
import { showValue } from '../arguments/show-value.js';
import { adapterName, findingsOf, note } from '../gpu/device-findings.js';
import { variantId } from '../kernels/kernel.js';
import { log } from '../log.js';
import { problemClass, type Tuned } from '../plan/findings.js';
import { type Job, measure } from './measure.js';
import { parseRecords, type Records, storeKey } from './records.js';
import { checkStore, type TuningStore } from './store.js';
import { defaultStore } from './stores.js';

const keys = new WeakMap<GPUDevice, string>();
function keyOf(device: GPUDevice): string {
  let key = keys.get(device);
  if (key === undefined) keys.set(device, (key = storeKey(adapterName(device))));
  return key;
}

const storeOf = (store: TuningStore | null | undefined): TuningStore | undefined =>
  store === undefined ? defaultStore() : (store ?? undefined);
/** Milliseconds that a store may take to answer: another tab can block IndexedDB for any time. */
const PATIENCE_MS = 500;
/** Stores that did not answer. They are not asked again. */
const silent = new WeakSet<TuningStore>();

/** A store's answer. If it fails or does not answer, the result is undefined and the device gets a note. */
async function ask<T>(device: GPUDevice, store: TuningStore, question: () => Promise<T>): Promise<T | undefined> {
  const doneWithout = (why: string): undefined =>
    note(device, 'forgetful', `the store of measured choices ${why}: they are not kept`) as undefined;
  if (silent.has(store)) return doneWithout(SILENT);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, 'late');
  });
  try {
    const answer = await Promise.race([Promise.resolve(question()).then((value) => ({ value })), late]);
    if (answer !== 'late') return answer.value;
    silent.add(store);
    return doneWithout(SILENT);
  } catch (error) {
    return doneWithout(`failed (${error instanceof Error ? error.message : showValue(error)})`);
  } finally {
    clearTimeout(timer);
  }
}
const SILENT = `did not answer within ${PATIENCE_MS / 1000} s`;

const loaded = new WeakMap<GPUDevice, Map<TuningStore, Promise<void>>>();

/** Reads the choices for this device from `store`, once. Choices that were measured since stay. */
export function loadTuning(device: GPUDevice, store: TuningStore | null | undefined): Promise<void> {
  const from = storeOf(store);
  if (!from) return Promise.resolve();
  let stores = loaded.get(device);
  if (!stores) loaded.set(device, (stores = new Map()));
  let reading = stores.get(from);
  if (!reading) {
    reading = ask(device, from, () => from.get(keyOf(device))).then((value) => adopt(device, parseRecords(value), false));
    stores.set(from, reading);
  }
  return reading;
}

function adopt(device: GPUDevice, records: Records, over: boolean): void {
  const state = findingsOf(device);
  for (const [name, tuned] of Object.entries(records)) {
    if (!over && state.tuned.has(name)) continue;
    state.tuned.set(name, tuned);
    state.changes++;
  }
}

/** Queues of measuring, by device, shared by all copies of this library: two at once would disturb each other. */
const queues = sharedMap<GPUDevice, Promise<unknown>>('measuring');

/** Measures a problem's class unless its choice is known. Measurements on a device run one after another. */
export async function tune(device: GPUDevice, job: Job, store: TuningStore | null | undefined): Promise<void> {
  const before = queues.get(device) ?? Promise.resolve();
  const own = before.then(() => measureAndKeep(device, job, store));
  queues.set(
    device,
    own.catch(() => {}),
  );
  return own;
}

async function measureAndKeep(device: GPUDevice, job: Job, store: TuningStore | null | undefined): Promise<void> {
  const state = findingsOf(device);
  const name = problemClass(job.problem, job.caps);
  const known = state.tuned.get(name);
  if (known && !(known.short !== undefined && known.short < job.budgetMs)) return;
  const found = await measure(device, job);
  if (!found) return;
  adopt(device, { [name]: found }, true);
  log(device, 'tuned', `${name}: ${variantId(found.kernel, found.tile)}, ${found.ratio.toFixed(2)} of the default's time`, {
    problem: name,
    ...found,
  });
  const to = storeOf(store);
  if (!to) return;
  const kept = parseRecords(await ask(device, to, () => to.get(keyOf(device))));
  await ask(device, to, () => to.set(keyOf(device), { ...kept, [name]: found }));
}

const CLEAR = onlyFields({ store: optional(checkStore) });
const EXPORTED = fields({ key: anything, choices: anything });

/** The measured choices of a device: export, import and clear. */
export interface Tuning {
  /** Names the adapter, the library's version and a hash of the kernels' text. Choices are valid for this key only. */
  readonly key: string;
  /** Plain JSON; choices by class of problems. */
  export(): { readonly key: string; readonly choices: Readonly<Record<string, Tuned>> };
  /** Takes choices of `export`. Returns their number; 0 if they have another key. */
  import(exported: unknown): number;
  /** Forgets all choices, in memory and in the store (default: IndexedDB, a file under Node). */
  clear(options?: { readonly store?: TuningStore | null }): Promise<void>;
}

/**
 * The measured choices of `device`, which `prepare(rows, { tune: true })` makes.
 * @example localStorage.setItem('tuning', JSON.stringify(tuning(device).export()));
 */
export function tuning(device: GPUDevice): Tuning {
  const key = keyOf(checkDevice(device));
  return {
    key,
    export: () => ({ key, choices: Object.fromEntries(findingsOf(device).tuned) }),
    import(exported) {
      const { key: from, choices } = typeof exported === 'object' && exported !== null ? EXPORTED(exported, 'exported') : {};
      const records = from === key ? reading('exported', () => parseRecords(choices)) : {};
      adopt(device, records, true);
      return Object.keys(records).length;
    },
    async clear(options = {}) {
      const { store } = CLEAR(options, 'options');
      const state = findingsOf(device);
      state.tuned.clear();
      state.changes++;
      const from = storeOf(store);
      if (from) await ask(device, from, () => from.set(key, {}));
    },
  };
}
