// The conversation: what the visitor wrote, what the model says to it, and what can be done about it.
import { useEffect, useRef } from 'preact/hooks';
import { sentence } from '../../app/sentence.js';
import { device } from '../../app/worker.js';
import { Button } from '../../ui/button.js';
import { Notice } from '../../ui/notice.js';
import { counted } from '../../ui/numbers.js';
import { Progress } from '../../ui/progress.js';
import { said } from './announce.js';
import { Figures } from './figures.js';
import { savePicture } from './picture.js';
import {
  type Answer,
  again,
  BEGINNINGS,
  begin,
  busy,
  draft,
  edit,
  editing,
  goOn,
  hasRoom,
  idsOf,
  isOwn,
  loading,
  look,
  looked,
  model,
  stop,
  type Turn,
  turns,
} from './state.js';

export function Talk() {
  const all = turns.value;
  const last = all.at(-1);
  return (
    <section class="card chat-talk" aria-label={model.value?.chats ? 'Conversation' : 'Text'}>
      {all.map((turn) => (
        <OneTurn key={turn.key} turn={turn} last={turn === last} />
      ))}
      {all.length === 0 && <Waiting />}
      {last && <Actions turn={last} />}
      {last && <Figures answer={last.answer} />}
      <Composer />
      <div class="unseen" aria-live="polite">
        {said.value.map(({ key, text }) => (
          <span key={key}>{text}</span>
        ))}
      </div>
    </section>
  );
}

function Waiting() {
  const running = loading.status.value === 'running';
  return (
    <div class="chat-waiting">
      {running && isOwn.value ? (
        <>
          <p>The model of this page, 1.4 MB, is on its way to your GPU. Then it goes on with the text below.</p>
          <Progress job={loading} label="Loading the model of this page" />
        </>
      ) : (
        <p>
          {model.value?.chats
            ? 'Write something: the model answers.'
            : model.value
              ? 'Begin a text: the model goes on with it.'
              : 'No model is loaded.'}
        </p>
      )}
    </div>
  );
}

function OneTurn({ turn, last }: { readonly turn: Turn; readonly last: boolean }) {
  const { text, answer } = turn;
  if ('messages' in answer.prompt)
    return (
      <article class="chat-turn">
        <div class="chat-mine">
          <h3 class="unseen">You</h3>
          <p class="chat-text">{text}</p>
          <Button kind="quiet" label="Edit this message" disabled={busy.value} onClick={() => edit(turn.key)}>
            Edit
          </Button>
        </div>
        <div class="chat-answer">
          <h3 class="unseen">The model</h3>
          <p class="chat-text" data-status={answer.status}>
            <Parts answer={answer} marks={last} />
          </p>
        </div>
      </article>
    );
  return (
    <p class="chat-text chat-page" data-status={answer.status}>
      <span class="chat-begun">{text}</span>
      <Parts answer={answer} marks={last} />
    </p>
  );
}

/** The pieces of an answer. A click on one looks into it; the slider of the token's view is the way by keys. */
function Parts({ answer, marks }: { readonly answer: Answer; readonly marks: boolean }) {
  const at = marks ? looked.value?.at : undefined;
  let next = 0;
  return (
    <span class="chat-said">
      {answer.parts.map(({ text, ids }, i) => {
        const first = next;
        next += ids.length;
        const here = at !== undefined && at >= first && at < next;
        return (
          // biome-ignore lint/a11y/noStaticElementInteractions: the token's view has a slider for the same
          // biome-ignore lint/a11y/useKeyWithClickEvents: as above
          <span key={i} data-here={here ? '' : undefined} onClick={marks ? () => void look(first) : undefined}>
            {text}
          </span>
        );
      })}
      {answer.status === 'running' && <span class="chat-caret" aria-hidden="true" />}
    </span>
  );
}

const END = { stop: 'The model ended it.', length: '' } as const;

function Actions({ turn }: { readonly turn: Turn }) {
  const { answer, key } = turn;
  const room = hasRoom(answer);
  const chats = 'messages' in answer.prompt;
  const lost = answer.status === 'failed' && (answer.error as Error).name === 'DeviceLostError';
  const running = answer.status === 'running';
  return (
    <div class="chat-actions">
      {running ? (
        <Button onClick={stop}>Stop</Button>
      ) : (
        <>
          {room && (answer.status !== 'done' || answer.reason === 'length') && (
            <Button disabled={busy.value} onClick={() => void goOn(key)}>
              Go on
            </Button>
          )}
          <Button disabled={busy.value} onClick={() => void again(key)}>
            {chats ? 'Answer again' : 'Another text'}
          </Button>
          {answer.parts.length > 0 && (
            <Button label="Save a picture" onClick={() => void savePicture()}>
              Picture
            </Button>
          )}
          {!room && <span class="chat-remark">The context is full.</span>}
          {answer.reason === 'stop' && answer.status === 'done' && <span class="chat-remark">{END.stop}</span>}
        </>
      )}
      {running && answer.parts.length === 0 && (
        <span class="chat-remark">
          {device.value.state === 'opening' ? 'The device opens.' : 'The prompt is read; at first the shaders are compiled.'}
        </span>
      )}
      <div class="chat-problem" role="alert">
        {answer.status === 'failed' && (
          <Notice kind={lost ? 'warn' : 'bad'}>
            {lost
              ? `The GPU device was lost. ${counted(idsOf(answer).length, 'token')} of the answer ${idsOf(answer).length === 1 ? 'is' : 'are'} kept: “Go on” opens the device again and continues behind them with the same text.`
              : `The answer ended early. ${sentence(answer.error)}`}
          </Notice>
        )}
      </div>
    </div>
  );
}

function Composer() {
  const box = useRef<HTMLTextAreaElement>(null);
  const chats = model.value?.chats ?? false;
  const edits = editing.value;
  useEffect(() => {
    if (edits === undefined) return;
    box.current!.focus();
    box.current!.select();
  }, [edits]);
  const send = (): void => {
    if (!busy.peek()) void begin(draft.peek());
  };
  return (
    <form
      class="chat-composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <label for="chat-draft">{edits !== undefined ? 'Your message, changed' : chats ? 'Your message' : 'Begin a text'}</label>
      <div class="chat-line">
        <textarea
          id="chat-draft"
          ref={box}
          rows={chats ? 2 : 1}
          value={draft.value}
          onInput={({ currentTarget: { value } }) => {
            draft.value = value;
          }}
          onKeyDown={(event) => {
            if (event.key === 'Escape' && editing.peek() !== undefined) {
              editing.value = undefined;
              draft.value = '';
            }
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        <Button kind="primary" type="submit" disabled={!model.value || busy.value || draft.value.trim() === ''}>
          {chats ? 'Send' : 'Continue'}
        </Button>
      </div>
      {!chats && isOwn.value && (
        <div class="chat-begin">
          {BEGINNINGS.map((text) => (
            <Button
              key={text}
              kind="quiet"
              disabled={!model.value || busy.value}
              onClick={() => {
                draft.value = text;
                void begin(text);
              }}
            >
              {text}
            </Button>
          ))}
        </div>
      )}
    </form>
  );
}
