// One token of the last answer: the likeliest that might have stood there, where its time went, and what runs on the GPU for it.
import { useSignal } from '@preact/signals';
import { Button } from '../../ui/button.js';
import { percent, short, whole } from '../../ui/numbers.js';
import { PanelLink } from '../../ui/panel-link.js';
import { JobProblem } from '../../ui/progress.js';
import { Table } from '../../ui/table.js';
import type { Candidate } from './jobs/look.js';
import { busy, CANDIDATES, idsOf, lastAnswer, look, looked, looking, model } from './state.js';
import { Times } from './times.js';

/** A token as it can be seen: white space by signs. */
export const visible = (text: string): string =>
  text === '' ? '∅' : text.replaceAll(' ', '␣').replaceAll('\n', '⏎').replaceAll('\t', '⇥');

export function Token() {
  const answer = lastAnswer.value;
  const count = answer ? idsOf(answer).length : 0;
  const now = looked.value;
  return (
    <section class="card stack" aria-labelledby="chat-token">
      <h3 id="chat-token">One token</h3>
      {count === 0 || !answer ? (
        <p>When there is an answer, this shows the {CANDIDATES} likeliest tokens at any place of it.</p>
      ) : (
        <>
          <p>
            Each token is drawn from a share for every token of the vocabulary. Click on a word of the text, or choose a place here: the
            bars are the likeliest {CANDIDATES}, at temperature 1.
          </p>
          <Place count={count} />
          <JobProblem job={looking} what="The logits could not be read." />
          {now?.result && (
            <Bars candidates={now.result.candidates} chosen={idsOf(answer)[now.at]!} stale={looking.status.value === 'running'} />
          )}
          <Times />
        </>
      )}
      {model.value && <Ran variants={model.value.explanation.variants} dispatches={model.value.explanation.dispatchesPerToken} />}
    </section>
  );
}

function Place({ count }: { readonly count: number }) {
  const at = looked.value?.at;
  const moved = useSignal<number | undefined>(undefined);
  const shown = moved.value ?? at ?? 0;
  return (
    <div class="chat-place">
      <label for="chat-place">Token</label>
      <input
        id="chat-place"
        type="range"
        min={1}
        max={count}
        value={shown + 1}
        disabled={busy.value}
        aria-valuetext={`${shown + 1} of ${count}`}
        onInput={({ currentTarget: { valueAsNumber } }) => {
          moved.value = valueAsNumber - 1;
        }}
        onChange={({ currentTarget: { valueAsNumber } }) => {
          moved.value = undefined;
          void look(valueAsNumber - 1);
        }}
      />
      <output for="chat-place">{`${whole(shown + 1)} of ${whole(count)}`}</output>
      {at === undefined && (
        <Button disabled={busy.value} onClick={() => void look(0)}>
          Show
        </Button>
      )}
    </div>
  );
}

function Bars({
  candidates,
  chosen,
  stale,
}: {
  readonly candidates: readonly Candidate[];
  readonly chosen: number;
  readonly stale: boolean;
}) {
  const most = Math.max(...candidates.map(({ probability }) => probability));
  return (
    <ol class="chat-bars" aria-label="The likeliest tokens" data-stale={stale ? '' : undefined}>
      {candidates.map(({ id, text, probability, logit, rank }) => (
        <li
          key={id}
          data-chosen={id === chosen ? '' : undefined}
          data-id={id}
          title={`id ${id}, logit ${short(logit, 4)}, place ${whole(rank)}`}
        >
          <code>{visible(text)}</code>
          <span class="chat-bar" aria-hidden="true">
            <span style={{ width: `${(100 * probability) / most}%` }} />
          </span>
          <span class="chat-share">{percent(probability)}</span>
          {id === chosen && <span class="unseen">, the one that was drawn</span>}
        </li>
      ))}
    </ol>
  );
}

/** `matmul-decode[BITS=4,X=0]` → its name and its params. */
const parsed = (id: string): readonly [shader: string, params: string] => {
  const [, shader = id, params = ''] = /^([^[]+)\[(.*)\]$/.exec(id) ?? [];
  return [shader, params];
};

function Ran({ variants, dispatches }: { readonly variants: Readonly<Record<string, number>>; readonly dispatches: number }) {
  return (
    <details class="chat-ran">
      <summary>What ran for it: {whole(dispatches)} dispatches</summary>
      <Table
        caption="Shaders of a token"
        hideCaption
        columns={[{ title: 'Shader' }, { title: 'Params' }, { title: 'Dispatches', numeric: true }]}
        rows={Object.entries(variants).map(([id, times]) => {
          const [shader, params] = parsed(id);
          return [
            <PanelLink key={id} panel="shader" state={{ show: id }}>
              {shader}
            </PanelLink>,
            <code key="params">{params.replaceAll(',', ' ')}</code>,
            whole(times),
          ];
        })}
      />
    </details>
  );
}
