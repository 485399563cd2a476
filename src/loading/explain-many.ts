// explainMany: what forwardMany of these layers runs, as data and in words.
import { ArgumentError } from '../errors.js';
import { MAX_LAYERS } from '../kernels/operands.js';
import { type Explanation, explain } from '../layer/explain.js';
import { sideBySide } from '../layer/joined-weights.js';
import { type Bundle, bundleFor, dispatchForm, follow, type Group, groupsFor, joinable, LAYERS, whyAlone } from '../layer/layer-group.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { type LoadedWeights, makeLoaded } from '../layer/loaded-weights.js';
import { checkRows } from '../layer/prepare.js';
import { keyOf } from '../problem/key.js';
import { contiguousX, makeProblem } from '../problem/problem.js';

/** Layers of a `forwardMany` that share a dispatch, or one that does not. */
export interface GroupExplanation {
  /** Their places in the list. */
  readonly layers: readonly number[];
  /** Do their weights lie side by side? If not, the first call starts to copy them, and calls until then take a dispatch for each. */
  readonly joined: boolean;
  /** Why they share a dispatch, or why the layer has one of its own. */
  readonly why: readonly string[];
  /** The kernel, the dispatches, and the reasons for them. */
  readonly explanation: Explanation;
}

/** What `forwardMany` runs. */
export interface ManyExplanation {
  readonly groups: readonly GroupExplanation[];
  /** Dispatches of all groups: products, and what runs around them. */
  readonly dispatches: number;
}

/** Why a layer has a dispatch of its own. */
const ALONE: Readonly<Record<NonNullable<ReturnType<typeof whyAlone>>, string>> = {
  joined: 'its weights lie beside layers of another list, or of this one in another order, and stay there',
  columns: 'its N is no multiple of 4, so that rows of y end inside a quad',
  table: 'its codebook is a table of its own',
  permuted: 'it reads x in an order of its own',
  glu: 'it is a gated linear unit',
  twinned: 'its y can have a twin',
  inputScaled: 'it has scales of inputs of its own',
  slabs: 'its weights are larger than a binding',
};

/**
 * How `forwardMany` multiplies a contiguous x of `rows` rows with these layers, and why: which share a dispatch, and what each dispatch runs. Layers
 * that have not been multiplied together yet are explained as they will be once their weights lie side by side. No GPU work.
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 * @example
 * const { groups, dispatches } = explainMany([q, k, v], 1);
 * for (const { layers, why, explanation } of groups) console.log(layers, explanation.kernel, why);
 */
export function explainMany(layers: readonly LinearWeightQuant[], rows: number): ManyExplanation {
  const given = LAYERS(layers, 'layers');
  const m = checkRows(rows);
  const bundle = bundleFor(given);
  const { k } = bundle.loaded[0]!.weights;
  const other = bundle.loaded.findIndex(({ weights }) => weights.k !== k);
  if (other >= 0) throw new ArgumentError(`layers[${other}]`, `K = ${k}, as layers[0]`, String(bundle.loaded[other]!.weights.k));
  const now = new Set(bundle.groups.filter(({ members }) => members.length > 1).map(({ loaded }) => loaded));
  const groups = groupsFor(asJoined(bundle), m).map((group): GroupExplanation => {
    const { loaded, members } = group;
    const y = members.length > 1 ? { layers: follow(group, given, m).columns } : {};
    const problem = makeProblem(loaded, { m, x: contiguousX(m, k), y });
    return { layers: members, joined: now.has(loaded), why: whyOf(group, bundle, m), explanation: explain(loaded, problem) };
  });
  groups.sort((a, b) => a.layers[0]! - b.layers[0]!);
  return { groups, dispatches: groups.reduce((sum, { explanation }) => sum + explanation.dispatches.length, 0) };
}

/** The bundle with the groups that it has once its layers lie side by side. */
function asJoined(bundle: Bundle): Bundle {
  let { groups } = bundle;
  for (const members of joinable(bundle)) {
    const own = members.map((i) => bundle.loaded[i]!);
    const [first] = own as [LoadedWeights];
    const columns = own.map(({ weights }) => weights.n);
    const place = sideBySide(first.weights, columns, first.settings.caps);
    if (!place) continue;
    const { weights, packed, begins } = place;
    const loaded = makeLoaded({ ...first, weights, packed });
    groups = [...groups.filter((group) => !members.includes(group.members[0]!)), { members, loaded, begins }];
  }
  return { ...bundle, groups };
}

function whyOf({ members }: Group, bundle: Bundle, m: number): string[] {
  if (members.length > 1)
    return [`${members.length} layers agree in format and options: one dispatch multiplies x with the columns of all, side by side`];
  const [i] = members as [number];
  const { loaded } = bundle;
  const own = loaded[i]!;
  if (bundle.groups.some((group) => group.members.length > 1 && group.members.includes(i)) || runOf(bundle, i))
    return [tooLarge(bundle, i, m)];
  const alone = whyAlone(own);
  if (alone) return [ALONE[alone]];
  if (loaded.indexOf(own) < i) return ['it is in the list before'];
  const differing = loaded.flatMap((other, j) => (j === i || standsApart(other) ? [] : differences(own, other, j)));
  if (differing.length > 0) return differing;
  const alike = loaded.some((other, j) => j !== i && !standsApart(other));
  return [alike ? `a dispatch has at most ${MAX_LAYERS} layers` : 'no other layer of the list can share a dispatch'];
}

/** Could it share no dispatch with any layer? One that did stays where it is. */
const standsApart = (loaded: LoadedWeights): boolean => !['joined', undefined].includes(whyAlone(loaded));

const runOf = (bundle: Bundle, i: number): readonly number[] | undefined => joinable(bundle).find((run) => run.includes(i));

function tooLarge(bundle: Bundle, i: number, m: number): string {
  const run = runOf(bundle, i);
  const own = run?.map((j) => bundle.loaded[j]!);
  const fits =
    !own ||
    sideBySide(
      own[0]!.weights,
      own.map(({ weights }) => weights.n),
      own[0]!.settings.caps,
    );
  return fits ? `x or y of ${m} rows is larger than a binding` : 'the weights of the layers together are larger than a binding';
}

/** What two layers differ in, that layers of a dispatch agree in. */
function differences(a: LoadedWeights, b: LoadedWeights, j: number): string[] {
  const [ours, theirs] = [fieldsOf(a), fieldsOf(b)];
  const names = [...new Set([...ours.keys(), ...theirs.keys()])].filter((name) => ours.get(name) !== theirs.get(name));
  return names.length === 0
    ? []
    : [`layer ${j} differs: ${names.map((name) => `${name} ${theirs.get(name)}, not ${ours.get(name)}`).join('; ')}`];
}

/** The fields of `dispatchForm` as texts. */
function fieldsOf(loaded: LoadedWeights): Map<string, string> {
  const { options, format, settings } = dispatchForm(loaded);
  return new Map(Object.entries({ ...settings, ...options, ...format }).map(([name, value]) => [name, keyOf(value as object)]));
}
