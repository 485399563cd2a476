// The answer as a picture to share: the text, the model, the figures and the device, drawn on a canvas of fixed width.
import { deviceName } from '../../app/device-line.js';
import { device } from '../../app/worker.js';
import { short } from '../../ui/numbers.js';
import { perSecond } from './figures.js';
import { lastAnswer, model, textOf, turns } from './state.js';

const WIDTH = 1200;
const EDGE = 72;
const LINE = 48;
const MOST_LINES = 24;
const FONT = '30px Georgia, "DejaVu Serif", serif';
const SMALL = '22px system-ui, sans-serif';

/** Words with the colour that each is drawn in. */
interface Word {
  readonly text: string;
  readonly mine: boolean;
}

/** Cuts a text into lines of at most `most` pixels. */
function linesOf(words: readonly Word[], most: number, widthOf: (text: string) => number): Word[][] {
  const lines: Word[][] = [[]];
  let width = 0;
  for (const word of words) {
    if (word.text === '\n') {
      lines.push([]);
      width = 0;
      continue;
    }
    const long = widthOf(word.text);
    if (width + long > most && width > 0) {
      lines.push([]);
      width = 0;
    }
    lines.at(-1)!.push(word);
    width += long;
  }
  return lines;
}

const wordsOf = (text: string, mine: boolean): Word[] =>
  (text.match(/\n|[^\s]*[^\S\n]?/g) ?? []).filter(Boolean).map((one) => ({ text: one, mine }));

/** @returns undefined without an answer */
export function drawPicture(): HTMLCanvasElement | undefined {
  const answer = lastAnswer.peek();
  const turn = turns.peek().at(-1);
  const now = model.peek();
  if (!answer || !turn || !now) return undefined;
  const canvas = document.createElement('canvas');
  const draw = canvas.getContext('2d')!;
  const colour = (name: string): string => {
    // light-dark() is resolved where a colour is used.
    const probe = document.body.appendChild(document.createElement('span'));
    probe.style.color = `var(${name})`;
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  draw.font = FONT;
  const chats = 'messages' in answer.prompt;
  const words = [
    ...wordsOf(turn.text, true),
    ...(chats
      ? [
          { text: '\n', mine: false },
          { text: '\n', mine: false },
        ]
      : []),
    ...wordsOf(textOf(answer), false),
  ];
  const all = linesOf(words, WIDTH - 2 * EDGE, (text) => draw.measureText(text).width);
  const lines = all.slice(0, MOST_LINES);
  canvas.width = WIDTH;
  canvas.height = Math.max(630, 2 * EDGE + lines.length * LINE + 120);
  draw.fillStyle = colour('--card');
  draw.fillRect(0, 0, canvas.width, canvas.height);
  draw.fillStyle = colour('--accent');
  draw.fillRect(0, 0, canvas.width, 10);
  draw.font = FONT;
  lines.forEach((line, i) => {
    let x = EDGE;
    for (const { text, mine } of line) {
      draw.fillStyle = colour(mine ? '--accent' : '--text');
      draw.fillText(text, x, EDGE + LINE * (i + 1));
      x += draw.measureText(text).width;
    }
    if (i === MOST_LINES - 1 && all.length > MOST_LINES) draw.fillText(' …', x, EDGE + LINE * (i + 1));
  });
  draw.font = SMALL;
  draw.fillStyle = colour('--dim');
  const state = device.peek();
  const speed = perSecond(answer);
  const figures = [
    now.name,
    ...(speed === undefined ? [] : [`${short(speed)} tokens a second`]),
    ...(state.state === 'ready' ? [deviceName(state.facts)] : []),
  ];
  draw.fillText(figures.join('  ·  '), EDGE, canvas.height - EDGE);
  draw.fillText('written in a web page by antiquant, on WebGPU', EDGE, canvas.height - EDGE + 34);
  return canvas;
}

export async function savePicture(): Promise<void> {
  const canvas = drawPicture();
  const blob = canvas && (await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png')));
  if (!blob) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = 'antiquant-chat.png';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
