// What an answer took, as the library counts it: tokens a second, time to the first token, memory by use, dispatches a token, and how near the
// adapter's memory that is.
import type { ComponentChildren } from 'preact';
import { Button } from '../../ui/button.js';
import { bytes, counted, duration, percent, short, whole } from '../../ui/numbers.js';
import { JobProblem } from '../../ui/progress.js';
import { type Answer, busy, copied, copyingJob, idsOf, measureCopying, model } from './state.js';

/** Ids of the decoding and its milliseconds, as `Llm.stats` has them. */
export const perSecond = ({ spent }: Answer): number | undefined =>
  spent && spent.decodeMs > 0 ? (1000 * spent.tokens) / spent.decodeMs : undefined;

const USES: Readonly<Record<string, string>> = { weights: 'weights', cache: 'keys and values', rows: 'rows of prompts', logits: 'logits' };

export function Figures({ answer }: { readonly answer: Answer }) {
  const now = model.value;
  if (!now || answer.first === undefined) return null;
  const speed = perSecond(answer);
  const memory = Object.entries(answer.memory ?? now.explanation.memory);
  const total = memory.reduce((sum, [, size]) => sum + size, 0);
  const items: readonly (readonly [name: string, value: ComponentChildren, remark?: string])[] = [
    ['Tokens a second', speed === undefined ? '…' : short(speed), counted(idsOf(answer).length, 'token')],
    ['To the first token', duration(answer.first), `a prompt of ${counted(answer.promptIds.length, 'token')}`],
    ['GPU memory', bytes(total), memory.map(([use, size]) => `${USES[use] ?? use} ${bytes(size)}`).join(', ')],
    ['Dispatches a token', whole(now.explanation.dispatchesPerToken), counted(now.layers, 'layer')],
    shareOfCopying(answer, speed),
  ];
  return (
    <dl class="chat-figures">
      {items.map(([name, value, remark]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {typeof value === 'string' ? <strong>{value}</strong> : value}
            {remark && <small>{remark}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** Bytes that tokens read in a second, of those that a copy reads and writes: a token cannot be read faster than that. */
function shareOfCopying({ reads, status }: Answer, speed: number | undefined): readonly [string, ComponentChildren, string?] {
  const name = 'Share of copy bandwidth';
  const copy = copied.value;
  if (copy && reads !== undefined && speed !== undefined)
    return [
      name,
      percent((reads * speed) / copy.rate),
      `${bytes(reads)} read a token; a copy reads and writes ${bytes(copy.rate)} a second`,
    ];
  const running = copyingJob.status.value === 'running';
  const value = (
    <>
      <Button
        kind="quiet"
        label="Measure how fast this adapter copies"
        disabled={busy.value || running || status === 'running' || reads === undefined}
        onClick={() => void measureCopying()}
      >
        {running ? 'Measuring' : 'Measure'}
      </Button>
      <JobProblem job={copyingJob} what="Copying could not be measured." />
    </>
  );
  return [name, value];
}
