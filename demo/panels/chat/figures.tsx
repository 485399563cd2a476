// What an answer took, as the library counts it: tokens a second, time to the first token, memory by use, dispatches a token.
import { bytes, counted, duration, short, whole } from '../../ui/numbers.js';
import { type Answer, idsOf, model } from './state.js';

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
  const items: readonly (readonly [name: string, value: string, remark?: string])[] = [
    ['Tokens a second', speed === undefined ? '…' : short(speed), counted(idsOf(answer).length, 'token')],
    ['To the first token', duration(answer.first), `a prompt of ${counted(answer.promptIds.length, 'token')}`],
    ['GPU memory', bytes(total), memory.map(([use, size]) => `${USES[use] ?? use} ${bytes(size)}`).join(', ')],
    ['Dispatches a token', whole(now.explanation.dispatchesPerToken), counted(now.layers, 'layer')],
  ];
  return (
    <dl class="chat-figures">
      {items.map(([name, value, remark]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <strong>{value}</strong>
            {remark && <small>{remark}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
