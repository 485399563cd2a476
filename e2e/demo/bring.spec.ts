// The panel "Bring a model": bits a weight of every matrix in the file and here, folders, and the way of an opened file to the panel "Chat".
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator } from '@playwright/test';
import { openModel } from '../../src/files/open-file.js';
import { findLayers } from '../../src/formats/find-layers.js';
import { layerBytes } from '../../src/formats/read-layer.js';
import { compressedTensorsTensors } from '../../src/formats/write-compressed-tensors.js';
import { quantize } from '../../src/quantize/quantize.js';
import { makeGguf } from '../../test/support/files.js';
import { modelParts } from '../../test/support/model-file.js';
import { filesOf, folderParts } from '../../test/support/model-folder.js';
import { onnx } from '../../test/support/onnx-file.js';
import { expect, test } from './fixture.js';
import { floats, type GivenFile, given, safetensors, someWeights } from './model-files.js';

const LONG = { timeout: 90_000 };
const own = readFileSync(join(import.meta.dirname, '../../models/kjv.gguf'));
const give = (panel: Locator, ...files: readonly GivenFile[]): Promise<void> =>
  panel.getByLabel('Drop a model’s files or its folder here').setInputFiles([...files]);
const file = (panel: Locator): Locator => panel.getByRole('region', { name: 'The file' });
const chat = (panel: Locator): Locator => panel.getByRole('region', { name: 'Chat', exact: true });
const rowOf = (panel: Locator, name: string): Locator =>
  panel.getByRole('grid', { name: 'Tensors' }).getByRole('row').filter({ hasText: name }).first();

/** The list's bits of a matrix here are what the library says of it once it is loaded. */
async function asLoaded(panel: Locator, name: string, there: number): Promise<number> {
  const cell = rowOf(panel, name).locator('.at-bits');
  await expect(cell).toHaveText(new RegExp(`^${there.toFixed(2)}.*here$`), { timeout: 30_000 });
  const here = (await cell.locator('strong').textContent())!;
  await rowOf(panel, name).click();
  await panel.getByRole('button', { name: 'Run', exact: true }).click();
  await expect(panel.locator('[data-inside]')).toContainText(`${here} in GPU memory`, { timeout: 60_000 });
  return Number(here);
}

test('the page’s model is open at once, and every matrix says its bits in the file and here, as the library holds it', async ({ demo }) => {
  const panel = await demo.open('model');
  await expect(file(panel)).toContainText('kjv.gguf', LONG);
  await expect(chat(panel)).toContainText('kjv.gguf is a language model: llama, 3 layers, 1,024 tokens. It goes on with a text.');
  const { layers } = await findLayers(await openModel(new Uint8Array(own)));
  const sum = layers.reduce((all, layer) => all + 8 * layerBytes(layer), 0);
  const weights = layers.reduce((all, { n, k }) => all + n * k, 0);
  await expect(file(panel)).toContainText(`${weights.toLocaleString('en')} weights take`);
  await expect(file(panel)).toContainText(`${(sum / weights).toFixed(2)} in the file`);
  for (const name of ['blk.0.attn_q.weight', 'blk.0.attn_v.weight']) {
    const layer = layers.find((one) => one.tensors.weight?.name === name)!;
    expect(await asLoaded(panel, name, (8 * layerBytes(layer)) / (layer.n * layer.k))).toBeGreaterThan(4);
  }

  // Codes that lie in several tensors, symmetric ones, whose zero points are dropped, and floats, as the int8 that a language model's become.
  const [n, k] = [64, 96];
  const coded = quantize(someWeights(n * k, 4), { n, k, bits: 4, groupSize: 32 });
  const even = quantize(someWeights(n * k, 6), { n, k, bits: 4, groupSize: 32, symmetric: true });
  const tensors = [...compressedTensorsTensors('coded', coded), ...compressedTensorsTensors('even', even)];
  await give(panel, await safetensors('three.safetensors', [...tensors, floats('plain.weight', [n, k], someWeights(n * k, 5))]));
  await expect(file(panel)).toContainText('three.safetensors', LONG);
  const bytesOf = (name: string): number =>
    tensors.filter((one) => one.name.startsWith(name)).reduce((all, one) => all + one.bytes.length, 0);
  // weight_shape, which is read with the header, is no part of the weights.
  const shapes = 16;
  await asLoaded(panel, 'coded.weight_packed', (8 * (bytesOf('coded') - shapes)) / (n * k));
  await asLoaded(panel, 'even.weight_packed', (8 * (bytesOf('even') - shapes)) / (n * k));
  await panel.getByRole('radio', { name: 'int8' }).check();
  await panel.getByLabel('Symmetric').check();
  await asLoaded(panel, 'plain.weight', 32);
  await panel.getByRole('columnheader', { name: 'Bits a weight' }).getByRole('button').click();
  await panel.getByRole('columnheader', { name: 'Bits a weight' }).getByRole('button').click();
  await expect(panel.getByRole('grid', { name: 'Tensors' }).locator('.tensors-body [role=row]').first()).toContainText('plain.weight');
  await demo.axe();
});

const SPEAKS: Parameters<typeof modelParts>[0] = { architecture: 'llama', seed: 5, sizes: { layers: 1, feedForward: 256 } };

test('“Chat with it” opens the chat with the same files; what cannot chat says why', async ({ demo, context }, info) => {
  const { page } = demo;
  const panel = await demo.open('model');
  await expect(file(panel)).toContainText('kjv.gguf', LONG);
  const refused = async (why: string | RegExp, ...files: readonly GivenFile[]): Promise<void> => {
    await give(panel, ...files);
    await expect(file(panel)).toContainText(files[0]!.name, LONG);
    await expect(chat(panel)).toContainText(why);
    await expect(chat(panel)).toContainText(/It cannot chat here\. .*\.$/);
    await expect(chat(panel).getByRole('button')).toHaveCount(0);
  };
  const plain = await safetensors('plain.safetensors', [floats('a.weight', [16, 32], someWeights(512, 2))]);
  await refused('There is no config.json beside the weights', plain);
  await refused(/config\.json: model_type: expected .*, got "mamba"/, plain, given('config.json', '{"model_type":"mamba"}'));
  const made = onnx(
    [{ op: 'MatMul', name: 'one', inputs: ['x', 'w'] }],
    [{ name: 'w', type: 1, dims: [8, 8], float: [...someWeights(64, 1)] }],
  );
  await refused('A chat takes GGUF, or safetensors', given('m.onnx', made));
  const unknown = modelParts(SPEAKS);
  unknown.metadata.set('general.architecture', ['STRING', 'mamba']);
  await refused(
    /unknown\.gguf: general\.architecture: expected .*, got "?mamba/,
    given('unknown.gguf', makeGguf(unknown.tensors, { metadata: unknown.metadata })),
  );
  const mute = modelParts(SPEAKS);
  for (const key of [...mute.metadata.keys()]) if (key.startsWith('tokenizer.')) mute.metadata.delete(key);
  await refused(/mute\.gguf.*tokenizer/, given('mute.gguf', makeGguf(mute.tensors, { metadata: mute.metadata })));

  // A folder: its own files, without those of its folders.
  const folder = info.outputPath('small-llama');
  mkdirSync(join(folder, 'other'), { recursive: true });
  for (const [name, bytes] of filesOf(folderParts({ type: 'llama', format: 'GPTQ' }))) writeFileSync(join(folder, name), bytes);
  writeFileSync(join(folder, 'other', 'config.json'), 'not the one');
  const choosing = page.waitForEvent('filechooser');
  await panel.getByRole('button', { name: 'Choose a folder' }).click();
  await (await choosing).setFiles(folder);
  await expect(file(panel)).toContainText('model.safetensors', LONG);
  await expect(chat(panel)).toContainText('is a language model: llama');
  await expect(chat(panel)).toContainText('It answers messages.');

  const { metadata, tensors } = modelParts(SPEAKS);
  metadata.set('tokenizer.chat_template', ['STRING', '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}']);
  await give(panel, given('speaks.gguf', makeGguf(tensors, { metadata })));
  await expect(chat(panel)).toContainText('speaks.gguf is a language model: llama, 1 layer', LONG);
  const requests: string[] = [];
  context.on('request', (request) => requests.push(request.url()));
  await chat(panel).getByRole('button', { name: 'Chat with it' }).click();
  await expect(page.locator('main[data-panel="chat"]')).toBeVisible();
  await expect(demo.panel).toContainText('speaks.gguf', LONG);
  await expect(demo.panel).toContainText('It answers: the file has a chat template.', LONG);
  await demo.panel.getByRole('textbox', { name: 'Your message' }).fill('hello');
  await demo.panel.getByRole('button', { name: 'Send' }).click();
  await expect(demo.panel.locator('.chat-answer').last()).not.toBeEmpty(LONG);
  expect(requests.filter((url) => !url.startsWith('blob:') && !url.startsWith(new URL(page.url()).origin))).toEqual([]);
  expect(requests.filter((url) => url.includes('gguf'))).toEqual([]);
});
