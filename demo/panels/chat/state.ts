// The panel's state: the model, the conversation, and the jobs. The conversation is in memory alone: the URL has the settings, not the text.
import { batch, computed, signal } from '@preact/signals';
import type { CachedModel, Message, Reason } from '../../../src/llm.js';
import { quiet } from '../../app/quiet.js';
import { panel, showPanel, text, urlSignal } from '../../app/url-state.js';
import { makeJob } from '../../app/use-job.js';
import { call } from '../../app/worker.js';
import { isAbort } from '../../worker/rpc.js';
import { saidAll, say } from './announce.js';
import type { From } from './jobs/held.js';
import type { LoadedModel } from './jobs/index.js';
import type { Looked } from './jobs/look.js';
import type { Prompt, SpeakArgs, Spent } from './jobs/speak.js';
import type { OfWidth } from './jobs/widths.js';
import { HOLDING, optionsOf, SPEAKING, seed, temperature } from './settings.js';

// ------------------------------------------------------------------------------------------------------------- the model

export const loading = makeJob('chat.load');
export const model = signal<LoadedModel | undefined>(undefined);
/** Where the model that is loaded, or being loaded, comes from. */
export const source = signal<From>({ own: true });
/** A URL in the address of the page fills the field; only a click fetches it. */
export const address = urlSignal('chat.url', text('', 2000));
export const isOwn = computed(() => 'own' in source.value);

/** Models of URLs that the browser keeps. */
export const kept = signal<readonly CachedModel[]>([]);
export async function lookForKept(): Promise<void> {
  kept.value = await call('chat.kept', undefined).catch(() => []); // a browser without such files keeps none
}
export async function forget(url: string): Promise<void> {
  await call('chat.forget', { url });
  await lookForKept();
}

/** Loads a model in the place of the one before. The conversation ends: its ids mean nothing to another model. */
export async function load(from: From): Promise<boolean> {
  stop();
  const before = source.peek();
  source.value = from;
  const loaded = await loading.run({ from, holding: optionsOf(HOLDING) });
  if ('url' in from) void lookForKept();
  if (!loaded) {
    if (source.peek() !== from) return false; // another load took its place
    const held = await call('chat.holds', undefined);
    batch(() => {
      if (held === model.peek()?.id) source.value = before;
      else model.value = undefined;
    });
    return false;
  }
  batch(() => {
    model.value = loaded;
    copied.value = undefined;
    draft.value = loaded.chats ? '' : draft.peek() || BEGINNINGS[0];
    clear();
  });
  return true;
}

/** Loads what another panel has open, and shows this one. */
export function chatWith(from: From): Promise<boolean> {
  const loaded = load(from); // before the panel arrives, which would load its own
  showPanel('chat');
  return loaded;
}

// ------------------------------------------------------------------------------------------------------ the conversation

export interface Part {
  readonly text: string;
  readonly ids: readonly number[];
}
export interface Answer {
  readonly prompt: Prompt;
  readonly promptIds: readonly number[];
  readonly options: SpeakArgs['options'];
  readonly parts: readonly Part[];
  readonly status: 'running' | 'done' | 'stopped' | 'failed';
  readonly reason?: Reason;
  readonly error?: unknown;
  /** Milliseconds from the call until its first piece; undefined until then. */
  readonly first?: number;
  readonly spent?: Spent;
  readonly memory?: Readonly<Record<string, number>>;
  readonly reads?: number;
}
/** What the visitor wrote, and what the model said to it. */
export interface Turn {
  readonly key: number;
  readonly text: string;
  readonly answer: Answer;
}

export const turns = signal<readonly Turn[]>([]);
export const system = signal('');
/** The turn that the draft replaces. */
export const editing = signal<number | undefined>(undefined);

/** Beginnings in the manner of the page's own model. */
export const BEGINNINGS = ['And it came to pass', 'In the beginning', 'Blessed are they', 'The voice of'] as const;

export const draft = signal<string>(BEGINNINGS[0]);

let control: AbortController | undefined;
let keys = 0;

export const speaking = computed(() => turns.value.at(-1)?.answer.status === 'running');
/** Is there an answer, or another model, to wait for? */
export const busy = computed(() => speaking.value || loading.status.value === 'running');
export const textOf = ({ parts }: Answer): string => parts.map((part) => part.text).join('');
export const idsOf = ({ parts }: Answer): number[] => parts.flatMap(({ ids }) => ids);

function clear(): void {
  batch(() => {
    turns.value = [];
    editing.value = undefined;
    forgetLooks();
  });
}

/** What was seen of the answer before. */
function forgetLooks(): void {
  looked.value = undefined;
  profiled.value = undefined;
  ofWidths.value = [];
}

const change = (key: number, what: (answer: Answer) => Partial<Answer>): void => {
  turns.value = turns.peek().map((turn) => (turn.key === key ? { ...turn, answer: { ...turn.answer, ...what(turn.answer) } } : turn));
};

/** What the model is asked with this text behind these turns. */
function promptOf(before: readonly Turn[], written: string): Prompt {
  if (!model.peek()?.chats) return { text: written };
  const messages: Message[] = system.peek().trim() ? [{ role: 'system', content: system.peek() }] : [];
  for (const { text, answer } of before) messages.push({ role: 'user', content: text }, { role: 'assistant', content: textOf(answer) });
  return { messages: [...messages, { role: 'user', content: written }] };
}

/** Speaks behind the ids that the answer has. */
async function speak(key: number): Promise<void> {
  const turn = turns.peek().find((one) => one.key === key);
  const now = model.peek();
  if (!turn || !now) return;
  control?.abort(new DOMException('Another answer took its place', 'AbortError'));
  const mine = new AbortController();
  control = mine;
  const { prompt, options } = turn.answer;
  const before = idsOf(turn.answer);
  const parts: Part[] = []; // those of before come once more
  let count = 0;
  change(key, () => ({ status: 'running', error: undefined }) as Partial<Answer>);
  try {
    const spoken = await call(
      'chat.speak',
      { model: now.id, prompt, before, options },
      {
        signal: mine.signal,
        onPart: (part) => {
          if (part.kind === 'prompt') return change(key, () => ({ promptIds: part.ids }));
          const { piece, ms, spent } = part;
          parts.push({ text: piece.text, ids: piece.ids });
          count += piece.ids.length;
          if (count <= before.length && !piece.reason) return;
          say(piece.text);
          change(key, (answer) => ({ parts: [...parts], first: answer.first ?? ms, spent }));
        },
      },
    );
    change(key, () => ({ status: 'done', reason: spoken.reason, spent: spoken.spent, memory: spoken.memory, reads: spoken.reads }));
  } catch (error) {
    change(key, () => (isAbort(error) ? { status: 'stopped' } : { status: 'failed', error }));
  } finally {
    saidAll();
    if (control === mine) control = undefined;
  }
}

function answerTo(before: readonly Turn[], written: string): number {
  const key = ++keys;
  const answer: Answer = {
    ...{ prompt: promptOf(before, written), promptIds: [], parts: [], status: 'running' },
    options: optionsOf(SPEAKING),
  };
  batch(() => {
    turns.value = [...before, { key, text: written, answer }];
    editing.value = undefined;
    forgetLooks();
  });
  comparing.cancel();
  profiling.cancel();
  return key;
}

/** Goes on with a text, or answers it behind the conversation; in the place of the turn that is edited. */
export async function begin(written: string): Promise<void> {
  const now = model.peek();
  if (!now || written.trim() === '') return;
  const at = editing.peek();
  const all = turns.peek();
  const before = now.chats ? all.slice(0, at === undefined ? all.length : all.findIndex(({ key }) => key === at)) : [];
  if (now.chats) draft.value = '';
  await speak(answerTo(before, written));
}

/** Answers a turn anew; with another seed, since the same one says the same. */
export async function again(key: number): Promise<void> {
  const all = turns.peek();
  const at = all.findIndex((turn) => turn.key === key);
  if (temperature.peek() > 0) seed.value = (seed.peek() + 1) % 2 ** 32;
  await speak(answerTo(all.slice(0, at), all[at]!.text));
}

/** Goes on behind what the answer has: after a stop or a loss to its end, after its end with as many tokens again. */
export async function goOn(key: number): Promise<void> {
  const more = optionsOf(SPEAKING).maxTokens as number;
  change(key, ({ status, options, ...answer }) => ({
    options: status === 'done' ? { ...options, maxTokens: idsOf({ ...answer, status, options }).length + more } : options,
  }));
  await speak(key);
}

export function edit(key: number): void {
  const turn = turns.peek().find((one) => one.key === key)!;
  batch(() => {
    draft.value = turn.text;
    editing.value = key;
  });
}

export function stop(): void {
  control?.abort(new DOMException('The answer was stopped', 'AbortError'));
}

/** Has the context room behind the answer? */
export const hasRoom = ({ promptIds, ...answer }: Answer): boolean =>
  promptIds.length + idsOf({ promptIds, ...answer }).length <= (model.value?.context ?? 0);

// --------------------------------------------------------------------------------------------------------- a look inside

export const looking = makeJob('chat.look');
/** A token of the last answer by its number, and what might have stood there. */
export const looked = signal<{ readonly at: number; readonly result?: Looked } | undefined>(undefined);
export const CANDIDATES = 20;

export const lastAnswer = computed(() => turns.value.at(-1)?.answer);

export async function look(at: number): Promise<void> {
  const answer = lastAnswer.peek();
  const now = model.peek();
  if (!answer || !now) return;
  const ids = idsOf(answer);
  if (at < 0 || at >= ids.length) return;
  const kept = looked.peek();
  looked.value = { at, ...(kept?.result && { result: kept.result }) };
  const args = { model: now.id, ids: [...answer.promptIds, ...ids.slice(0, at)], chosen: ids[at]!, count: CANDIDATES };
  const result = await looking.run(args);
  if (result && looked.peek()?.at === at) looked.value = { at, result };
}

export const profiling = makeJob('chat.profile');
/** The times of a token of the last answer, by its number; none where the adapter has no timestamps. */
export interface Profiled {
  readonly at: number;
  readonly result: NonNullable<typeof profiling.result.value> | undefined;
}
export const profiled = signal<Profiled | undefined>(undefined);

export async function measureTimes(): Promise<void> {
  const answer = lastAnswer.peek();
  const now = model.peek();
  if (!answer || !now) return;
  const at = looked.peek()?.at ?? 0;
  const ids = [...answer.promptIds, ...idsOf(answer).slice(0, at)];
  const result = await profiling.run({ model: now.id, ids, options: answer.options });
  if (profiling.status.peek() === 'done' && lastAnswer.peek() === answer) profiled.value = { at, result };
}

export const copyingJob = makeJob('chat.copying');
/** How fast the adapter copies as many bytes as a token of this model reads. */
export const copied = signal<NonNullable<typeof copyingJob.result.value> | undefined>(undefined);

export async function measureCopying(): Promise<void> {
  const now = model.peek();
  if (!now) return;
  const result = await copyingJob.run({ model: now.id });
  if (result && model.peek() === now) copied.value = result;
}

// ---------------------------------------------------------------------------------------------------------- fewer bits

export const WIDTHS = [8, 4, 3, 2] as const;
export const comparing = makeJob('chat.widths');
export const ofWidths = signal<readonly OfWidth[]>([]);

export async function compare(): Promise<void> {
  const answer = lastAnswer.peek();
  const now = model.peek();
  if (!answer || !now) return;
  ofWidths.value = [];
  await comparing.run(
    { model: now.id, prompt: answer.prompt, options: answer.options, bits: WIDTHS },
    {
      onPart: (part) => {
        ofWidths.value = [...ofWidths.peek(), part];
      },
    },
  );
}

// ----------------------------------------------------------------------------------------------------------- the visit

/** Loads the page's own model and, if the visitor has begun nothing and is still here, goes on with the first beginning. */
export async function arrive(): Promise<void> {
  if (loading.status.peek() === 'running') return; // the arrival before goes on
  const ready = model.peek() !== undefined || (await load({ own: true }));
  if (ready && isOwn.peek() && turns.peek().length === 0 && panel.peek() === 'chat') await begin(draft.peek());
  quiet.value = true;
}
