// Shows the plan with its reasons, and the verdicts of every kernel and tile.

import { sentence } from '../../app/sentence.js';
import { Button } from '../../ui/button.js';
import { type Fact, Facts } from '../../ui/facts.js';
import { Notice } from '../../ui/notice.js';
import { bytes, counted, whole } from '../../ui/numbers.js';
import type { KernelVerdict, Planned } from './jobs/plan.js';
import { force, kernel, showTile, tile } from './state.js';

export function PlanFacts({ planned }: { readonly planned: Planned }) {
  const { plan, problem, refusal, own } = planned;
  const forced = planned.choice.force;
  const { n, k, bits } = problem.weights;
  return (
    <section class="stack" aria-labelledby="plan-title" data-kernel={plan?.kernel}>
      <h3 id="plan-title">The plan</h3>
      <p class="mono">
        x ({whole(problem.m)}, {whole(k)}) {problem.xDtype} · weights ({whole(n)}, {whole(k)}) int{bits} → y ({whole(problem.m)}, {whole(n)}
        ) {problem.yDtype}
      </p>
      {refusal && (
        <Notice kind="bad">
          {`${forced ? `${forced.kernel} cannot run here.` : 'This device cannot do it.'} ${sentence(refusal)}`}
          {forced && <Button onClick={() => force('')}>Back to the planner’s choice</Button>}
        </Notice>
      )}
      {plan && forced && (
        <Notice kind="info">
          {plan.kernel === own
            ? 'This kernel was chosen by hand; the planner takes the same one.'
            : `This kernel was chosen by hand. The planner takes ${own ?? 'no kernel'}.`}
          <Button onClick={() => force('')}>Back to the planner’s choice</Button>
        </Notice>
      )}
      {plan && <Facts items={facts(planned, plan)} />}
    </section>
  );
}

function facts({ problem, dispatches, more, main, bytes: packed }: Planned, plan: NonNullable<Planned['plan']>): Fact[] {
  const { n, k } = problem.weights;
  const count = dispatches.length + more;
  const product = dispatches[main];
  const [columns, rows] = product?.workgroups ?? [0, 1];
  const scratch = Object.entries(plan.scratch);
  const { codeBias, xStep } = plan.accuracy;
  return [
    ['Kernel', <strong key="kernel">{plan.kernel}</strong>, plan.verdicts.at(-1)?.reason],
    ...(plan.asides.length > 0
      ? [['Around it', plan.asides.map(({ shader, reason }) => <div key={reason}>{`${shader}: ${reason}`}</div>)] as Fact]
      : []),
    [
      'Dispatches',
      `${whole(count)}: ${runs(dispatches.map(({ shader }) => shader))}${more > 0 ? ', …' : ''}`,
      product &&
        `the product in ${whole(columns)}${rows > 1 ? ` × ${whole(rows)}` : ''} ${columns * rows === 1 ? 'workgroup' : 'workgroups'}`,
    ],
    [
      'Sums',
      xStep > 0 ? 'integers, of x rounded to int8' : 'float32',
      codeBias > 0 ? `codes are up to ${whole(codeBias)} larger, which the sum of x takes out again` : undefined,
    ],
    ['Packed weights', bytes(packed), `${bytes(2 * n * k)} in float16`],
    ['Scratch memory', scratch.length > 0 ? scratch.map(([role, size]) => `${role} ${bytes(size)}`).join(', ') : 'none'],
  ];
}

/** a, b × 3, c */
function runs(names: readonly string[]): string {
  const list: { readonly name: string; count: number }[] = [];
  for (const name of names) {
    const last = list.at(-1);
    if (last?.name === name) last.count++;
    else list.push({ name, count: 1 });
  }
  return list.map(({ name, count }) => (count > 1 ? `${name} × ${whole(count)}` : name)).join(', ');
}

// --------------------------------------------------------------------------------------------------------------- kernels

const STATES = { runs: 'runs', next: 'would run', declines: 'declines', cannot: 'cannot' } as const;

export function Kernels({ planned }: { readonly planned: Planned }) {
  const { verdicts } = planned;
  const at = verdicts.findIndex(({ state }) => state === 'runs');
  return (
    <section class="stack" aria-labelledby="kernels-title">
      <div>
        <h3 id="kernels-title">All kernels</h3>
        <p class="dim">
          In planning’s order: the first that accepts runs. Show any of them, whatever its verdict; {counted(verdicts.length, 'kernel')},{' '}
          {counted(
            verdicts.reduce((sum, { tiles }) => sum + tiles.length, 0),
            'tile',
          )}
          .
        </p>
      </div>
      <ol class="kernels">
        {verdicts.map((verdict, i) => (
          <KernelRow key={verdict.kernel} verdict={verdict} after={i > at && at >= 0 ? verdicts[at]!.kernel : undefined} />
        ))}
      </ol>
    </section>
  );
}

function KernelRow({
  verdict: { kernel: name, state, reason, tiles },
  after,
}: {
  readonly verdict: KernelVerdict;
  readonly after: string | undefined;
}) {
  const asked = kernel.value === name;
  return (
    <li data-state={state} data-name={name}>
      <div class="kernel-head">
        <span class={`state ${state}`}>{STATES[state]}</span>
        <code>{name}</code>
        <Button kind="quiet" label={`Show ${name}`} pressed={asked && tile.value === ''} onClick={() => force(name)}>
          {asked && tile.value === '' ? 'Shown' : 'Show'}
        </Button>
      </div>
      <p class="kernel-reason">
        {sentence(reason)}
        {state === 'next' && after && ` Not asked, because ${after} comes first.`}
      </p>
      {tiles.some((one) => Object.keys(one.tile).length > 0) && (
        <details open={asked && tile.value !== ''}>
          <summary>{counted(tiles.length, 'tile')}</summary>
          <ul class="tiles">
            {tiles.map(({ tile: params, preferred, makes, lacks }) => {
              const text = showTile(params);
              const shown = asked && tile.value === text;
              return (
                <li key={text} data-lacks={lacks ? '' : undefined}>
                  <button
                    type="button"
                    class="tile"
                    aria-pressed={shown}
                    onClick={() => force(name, text)}
                    aria-label={`Show ${name} with ${text.replaceAll(',', ', ')}`}
                  >
                    {text.replaceAll(',', ' ')}
                  </button>
                  <small>
                    {preferred && <strong>{state === 'runs' ? 'runs. ' : 'preferred. '}</strong>}
                    {lacks ? sentence(lacks) : `${whole(makes!.rows)} × ${whole(makes!.columns)} of y a workgroup`}
                  </small>
                </li>
              );
            })}
          </ul>
        </details>
      )}
    </li>
  );
}
