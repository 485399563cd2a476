// Lists every dispatch of the call and of the load. For the chosen one it shows bindings, uniforms and params, as planned and as
// wgsl_reflect reads them.
import { Facts } from '../../ui/facts.js';
import { Notice } from '../../ui/notice.js';
import { bytes, counted, whole } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import type { Planned } from './jobs/plan.js';
import type { ReflectedStruct, Reflection, ShaderText } from './jobs/text.js';
import { changed, line, reflection, shownStep, source, stepName } from './state.js';

type Step = Planned['dispatches'][number];

const grid = ({ workgroups: [columns, rows] }: Step): string => `${whole(columns)}${rows > 1 ? ` × ${whole(rows)}` : ''}`;

export function Steps({ planned }: { readonly planned: Planned }) {
  const { dispatches, more, load, moreLoad } = planned;
  const shown = shownStep.value;
  const inLoad = shown?.name.startsWith('load');
  return (
    <section class="stack" aria-labelledby="steps-title">
      <div>
        <h3 id="steps-title">Every dispatch</h3>
        <p class="dim">One compute pass, in this order. Choose a dispatch to see its bindings, and its text below.</p>
      </div>
      <StepList label="The call" list="call" steps={dispatches} more={more} shown={shown?.name} />
      {load.length > 0 ? (
        <details open={inLoad}>
          <summary>
            Before, once: load() brings the weights into the layout that kernels read (
            {counted(load.length + moreLoad, 'dispatch', 'dispatches')})
          </summary>
          <StepList label="The load" list="load" steps={load} more={moreLoad} shown={shown?.name} />
        </details>
      ) : (
        <small>Weights of other formats are repacked in pieces; those dispatches depend on the file.</small>
      )}
    </section>
  );
}

interface ListProps {
  readonly label: string;
  readonly list: 'call' | 'load';
  readonly steps: readonly Step[];
  readonly more: number;
  readonly shown: string | undefined;
}
function StepList({ label, list, steps, more, shown }: ListProps) {
  return (
    <ol class="steps" aria-label={label}>
      {steps.map((step, i) => {
        const name = `${list}-${i}`;
        const roles = [...new Set(Object.values(step.bindings).map(({ buffer }) => buffer))];
        return (
          <li key={name}>
            <button
              type="button"
              class="step"
              aria-pressed={shown === name}
              onClick={() => {
                stepName.value = name;
                changed();
              }}
            >
              <span class="step-number">{i + 1}</span>
              <code>{step.shader}</code>
              <span class="step-grid">{`${grid(step)} ${grid(step) === '1' ? 'workgroup' : 'workgroups'}`}</span>
              <small>{roles.join(', ')}</small>
            </button>
          </li>
        );
      })}
      {more > 0 && <li class="dim">and {whole(more)} more, each for the next rows or columns</li>}
    </ol>
  );
}

/** Details of the dispatch that is shown, with its text's reflection. */
export function StepDetails({ planned }: { readonly planned: Planned }) {
  const step = shownStep.value?.step;
  const shownText = source.result.value;
  const read = reflection.result.value;
  const same = read?.id === shownText?.id ? read : undefined;
  const { workgroup } = same ?? {};
  const params = same?.structs.find(({ name }) => name === 'Params');
  const lanes = workgroup?.reduce((a, b) => a * b, 1);
  const groups = step ? step.workgroups[0] * step.workgroups[1] : 0;
  return (
    <section class="stack wide-table" aria-labelledby="step-title" data-shader={step?.shader ?? planned.variant?.shader}>
      <h3 id="step-title">
        What <code>{step?.shader ?? planned.variant?.shader}</code> binds
      </h3>
      <Facts
        items={[
          [
            'Dispatched',
            step ? `${grid(step)} ${groups === 1 ? 'workgroup' : 'workgroups'}` : 'not at all',
            workgroup &&
              lanes !== undefined &&
              `of ${workgroup.join(' × ')} ${lanes === 1 ? 'invocation' : 'invocations'}${step ? `: ${whole(groups * lanes)} in all` : ''}`,
          ],
        ]}
      />
      {same && <Agreement read={same} />}
      {same && <Bindings read={same} step={step} />}
      <div class="columns" style={{ '--least': '24rem' }}>
        <div class="stack">{params && <Struct of={params} step={step} />}</div>
        <div class="stack">
          {shownText && shownText.knobs.length > 0 && <Knobs text={shownText} />}
          {same?.structs.map((one) => one !== params && <Struct key={one.name} of={one} step={undefined} />)}
        </div>
      </div>
    </section>
  );
}

/** A struct's fields, with values for the uniforms of a dispatch. */
const Struct = ({ of, step }: { readonly of: ReflectedStruct; readonly step: Step | undefined }) => (
  <Table
    caption={`struct ${of.name}: ${of.size} bytes, aligned to ${of.align}`}
    columns={[
      { title: 'Member' },
      { title: 'Type' },
      { title: 'Offset', numeric: true },
      { title: 'Bytes', numeric: true },
      ...(step ? [{ title: 'Value', numeric: true }] : []),
    ]}
    rows={of.members.map((member) => [
      <code key="name">{member.name}</code>,
      <code key="type">{member.type}</code>,
      member.offset,
      member.size,
      ...(step ? [unsigned(step.uniforms[member.name])] : []),
    ])}
  />
);

/** The value in the shader: modulo 2^32. */
const unsigned = (value: number | undefined): string => (value === undefined ? '' : whole(value >>> 0));

const Agreement = ({ read: { differences, bindings, structs } }: { readonly read: Reflection }) =>
  differences.length === 0 ? (
    <Notice kind="good">
      {`wgsl_reflect reads ${counted(bindings.length, 'binding')} and ${counted(structs.find(({ name }) => name === 'Params')?.members.length ?? 0, 'member')} of Params in this text, which are those of the library’s tables.`}
    </Notice>
  ) : (
    <Notice kind="bad">{`wgsl_reflect’s reading of this text differs from the library’s tables: ${differences.join('; ')}.`}</Notice>
  );

function Bindings({ read, step }: { readonly read: Reflection; readonly step: Step | undefined }) {
  return (
    <Table
      caption="Bindings of group 0"
      columns={[
        { title: 'Binding' },
        { title: 'Name' },
        { title: 'Type' },
        { title: 'Access' },
        { title: 'Bytes of one', numeric: true },
        { title: 'Buffer' },
        { title: 'From byte', numeric: true },
        { title: 'Bytes bound', numeric: true },
      ]}
      rows={read.bindings.map((one) => {
        const slice = step?.bindings[one.name];
        const uniform = one.access === 'uniform';
        return [
          one.binding,
          <LineButton key="name" at={one.line} label={`${one.name}, line ${one.line}`}>
            {one.name}
          </LineButton>,
          <code key="type">{one.type}</code>,
          one.access,
          one.size,
          uniform ? 'uniforms of the call' : slice ? slice.buffer : step ? 'nothing' : '',
          slice ? whole(slice.offset) : '',
          slice ? <span title={bytes(slice.size)}>{whole(slice.size)}</span> : uniform && step ? whole(one.size) : '',
        ];
      })}
    />
  );
}

const Knobs = ({ text }: { readonly text: ShaderText }) => (
  <Table
    caption="Params of the variant"
    columns={[{ title: 'Param' }, { title: 'Value', numeric: true }, { title: 'Of' }, { title: 'What it is' }]}
    rows={text.knobs.map(({ name, value, legal, remark, line: at }) => [
      <LineButton key="name" at={at} label={`${name}, line ${at}`}>
        {name}
      </LineButton>,
      value,
      <code key="legal">{legal.join(' ')}</code>,
      remark,
    ])}
  />
);

export const LineButton = ({ at, label, children }: { readonly at: number; readonly label: string; readonly children: string }) => (
  <button
    type="button"
    class="line-button"
    aria-label={label}
    title={`Line ${at}`}
    onClick={() => {
      line.value = at;
    }}
  >
    {children}
  </button>
);
