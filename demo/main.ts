// The page: opens a device, runs the embedded example on it, then whatever the form asks for. Every problem becomes a sentence.
import { capsOf } from '../src/gpu/device.js';
import { requestDevice } from '../src/index.js';
import { type Choice, EXAMPLES, SCHEMES } from './example.js';
import { askReference, roundTrip, runOnGpu } from './run.js';
import { deviceFacts, element, emptyCard, errorText, fillCard, showProgress, title, verdictText } from './view.js';

const find = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;
const form = find<HTMLFormElement>('form');
const button = form.querySelector('button')!;
const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const say = (text: string): void => find('status').replaceChildren(text);
const setState = (state: 'running' | 'done' | 'failed'): void => {
  document.documentElement.dataset.state = state;
};

let device: GPUDevice | undefined;

// ------------------------------------------------------------------------------------------------------------------ device

function notice(text: string, ...more: HTMLElement[]): void {
  find('notices').append(element('div', 'notice', element('p', '', text), ...more));
}

async function open(): Promise<void> {
  find('notices').replaceChildren();
  try {
    const opened = await requestDevice();
    device = opened;
    opened.lost.then((info) => lost(opened, info));
    opened.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      notice(`The GPU reported an error: ${event.error.message}`);
    });
    const caps = capsOf(opened);
    find('device').replaceChildren(...deviceFacts(opened, caps, await roundTrip(opened)));
    find('device-note').hidden = !caps.software;
    find('device-note').textContent =
      'This is a software adapter: the CPU runs the shaders. The results are checked all the same; the times say nothing about GPUs.';
  } catch (error) {
    device = undefined;
    const advice = navigator.gpu
      ? "Switch on hardware acceleration in the browser's settings, or update the browser and the graphics driver, then load this page again."
      : 'Open this page over https or on localhost in a browser with WebGPU: a current Chrome, Edge, Firefox or Safari. On some systems ' +
        "WebGPU is behind a flag of the browser's.";
    notice(`The GPU cannot be used. ${message(error)}. ${advice}`);
    find('device').replaceChildren(element('div', '', element('dt', '', 'Adapter'), element('dd', '', 'none')));
    find('device-note').hidden = true;
  }
}

function lost(which: GPUDevice, { reason, message: text }: GPUDeviceLostInfo): void {
  if (which !== device) return;
  device = undefined;
  const why = `${reason || 'unknown'}${text ? `: ${text.replace(/\.$/, '')}` : ''}`;
  const reopen = element('button', '', 'Reopen the device');
  reopen.type = 'button';
  reopen.addEventListener('click', () => inTurn(start));
  notice(`The GPU device was lost (${why}). Results that are already shown stay valid; nothing more can run on it.`, reopen);
}

// -------------------------------------------------------------------------------------------------------------------- runs

/** Runs a choice into its card. Is all well, and in one sentence. */
async function runInto(card: HTMLElement, choice: Choice): Promise<{ readonly well: boolean; readonly text: string }> {
  const problems: string[] = [];
  showProgress(card, 'The CPU computes the reference.');
  const answer = await askReference(choice).catch((error) => {
    problems.push(`No reference: ${message(error)}.`);
    return undefined;
  });
  let run: Awaited<ReturnType<typeof runOnGpu>> | undefined;
  if (answer && device) {
    showProgress(card, 'The GPU runs it.');
    run = await runOnGpu(device, choice, answer).catch((error) => {
      problems.push(`The GPU did not finish this: ${message(error)}.`);
      return undefined;
    });
  }
  fillCard(card, { choice, answer, run, problems });
  if (!run) return { well: false, text: problems.join(' ') || 'computed by the reference alone, without a GPU.' };
  const { difference } = run;
  return {
    well: difference.inside === difference.count,
    text: `${verdictText(difference)} Largest error ${errorText(difference, choice)}.`,
  };
}

async function start(): Promise<void> {
  setState('running');
  say('Opening the GPU.');
  const cards = EXAMPLES.map(emptyCard);
  find('examples').replaceChildren(...cards);
  await open();
  let well = 0;
  for (const [i, choice] of EXAMPLES.entries()) {
    say(`Running ${i + 1} of ${EXAMPLES.length}: ${title(choice)}.`);
    if ((await runInto(cards[i]!, choice)).well) well++;
  }
  const all = EXAMPLES.length;
  if (well === all) say(`Done. All ${all} runs agree with the reference.`);
  else if (!device) say(`There is no GPU device. ${well} of ${all} runs were made on one; the references are shown below.`);
  else say(`${all - well} of ${all} runs failed. The cards below say why.`);
  setState(well === all ? 'done' : 'failed');
}

async function runChosen(): Promise<void> {
  const data = new FormData(form);
  const choice = {
    rows: Number(data.get('rows')),
    scheme: data.get('scheme'),
    dtype: data.get('dtype'),
    int8Output: data.has('int8Output'),
  } as Choice;
  setState('running');
  find('outcome').replaceChildren(`Running ${title(choice)}.`);
  const card = emptyCard(choice);
  find('chosen').replaceChildren(card);
  const { well, text } = await runInto(card, choice);
  find('outcome').replaceChildren(`${title(choice)}: ${text}`);
  setState(well ? 'done' : 'failed');
}

/** One task at a time; the form waits. */
let last: Promise<void> = Promise.resolve();
function inTurn(task: () => Promise<void>): void {
  last = last.then(async () => {
    button.disabled = true;
    try {
      await task();
    } catch (error) {
      notice(`The page failed: ${message(error)}.`);
      setState('failed');
    }
    button.disabled = false;
  });
}

const schemes = form.elements.namedItem('scheme') as HTMLSelectElement;
for (const [name, { label }] of Object.entries(SCHEMES)) schemes.add(new Option(label, name));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  inTurn(runChosen);
});
inTurn(start);
