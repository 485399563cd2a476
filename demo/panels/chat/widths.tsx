// The same prompt, written by the same model in fewer bits, side by side.
import { Button } from '../../ui/button.js';
import { counted, short, whole } from '../../ui/numbers.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import type { OfWidth } from './jobs/widths.js';
import { busy, compare, comparing, lastAnswer, ofWidths } from './state.js';

export function Widths() {
  const answer = lastAnswer.value;
  const all = ofWidths.value;
  const plain = all[0];
  return (
    <section class="card stack" aria-labelledby="chat-widths">
      <h3 id="chat-widths">In fewer bits</h3>
      <p>
        The model is quantized once more and writes to the same prompt with the same seed: as int8 and int4 by this library’s quantizer on
        the GPU, and in 3 and 2 bits by the same rule, one scale for 32 weights.
      </p>
      <div class="chat-compare">
        <Button
          disabled={!answer || answer.parts.length === 0 || busy.value || comparing.status.value === 'running'}
          onClick={() => void compare()}
        >
          Compare
        </Button>
        <Progress job={comparing} label="Comparing widths" />
      </div>
      <JobProblem job={comparing} what="The comparison did not finish." />
      {plain && (
        <div class="chat-widths">
          {all.map((one) => (
            <Width key={one.bits} one={one} plain={plain} />
          ))}
        </div>
      )}
    </section>
  );
}

const bitsOf = (nats: number): string => short(nats / Math.LN2);

function Width({ one, plain }: { readonly one: OfWidth; readonly plain: OfWidth }) {
  const { bits, text, problem, ids, alike, surprise } = one;
  const same = sharedWith(plain.text, text);
  return (
    <article data-bits={bits}>
      <h4>{bits === 0 ? 'The file as it is' : `${bits} bits`}</h4>
      {problem ? (
        <p class="chat-remark">{`Refused. ${problem}.`}</p>
      ) : (
        <>
          <p class="chat-text">
            {bits === 0 ? (
              text
            ) : (
              <>
                <span class="chat-same">{text.slice(0, same)}</span>
                {text.slice(same)}
              </>
            )}
          </p>
          <small>
            {bits === 0
              ? `${bitsOf(surprise)} bits a token for its own text.`
              : `${alike === ids.length ? `All ${counted(ids.length, 'token')} alike` : alike === 0 ? 'No token alike' : alike === 1 ? 'The first token alike' : `The first ${whole(alike)} tokens alike`}. It gives ${bitsOf(surprise)} bits a token to the text of the file.`}
          </small>
        </>
      )}
    </article>
  );
}

/** Letters at the beginning that two texts share. */
function sharedWith(a: string, b: string): number {
  let at = 0;
  while (at < b.length && a[at] === b[at]) at++;
  return at;
}
