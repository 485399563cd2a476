// Where loadModel reads from: URLs of a model hub, and the file that several begin with. Nothing is fetched.
import { describe, expect, test } from 'vitest';
import { ArgumentError } from '../../src/errors.js';
import { hubUrl } from '../../src/loading/hub-url.js';
import { entryOf } from '../../src/loading/load-model.js';

describe('hf:', () => {
  test.each([
    ['hf:org/name/model.gguf', 'https://huggingface.co/org/name/resolve/main/model.gguf'],
    ['HF:org/name/a/b c.gguf', 'https://huggingface.co/org/name/resolve/main/a/b%20c.gguf'],
    ['hf:My-Org/na.me_2@v1.0/model.safetensors', 'https://huggingface.co/My-Org/na.me_2/resolve/v1.0/model.safetensors'],
    ['hf:org/name@refs%2Fpr%2F1/a.gguf', 'https://huggingface.co/org/name/resolve/refs%2Fpr%2F1/a.gguf'],
    ['hf:org/name/a?b#c.gguf', 'https://huggingface.co/org/name/resolve/main/a%3Fb%23c.gguf'],
    ['hf:org/name/a@b.gguf', 'https://huggingface.co/org/name/resolve/main/a%40b.gguf'],
  ])('%s', (from, url) => expect(String(hubUrl(from))).toBe(url));
  test.each(['models/a.gguf', 'https://example.org/hf:a', 'a', ''])('%s stays', (from) => expect(hubUrl(from)).toBe(from));
  test.each([
    'hf:',
    'hf:org',
    'hf:org/name',
    'hf:org/name/',
    'hf:org/../a.gguf',
    'hf:org/name/../a.gguf',
    'hf:org/name//a',
    'hf:o rg/name/a',
    'hf:org/name@/a',
    'hf:org/name@%zz/a',
    'hf:org/name@..%2F..%2Fx/a',
    'hf://org/name/a',
  ])('%s is none', (from) => expect(() => hubUrl(from)).toThrow(ArgumentError));
});

describe('the first of several files', () => {
  const files = (...names: string[]) => names.map((name) => new File([], name));
  test.each([
    [['config.json', 'a-00001-of-00002.safetensors', 'a-00002-of-00002.safetensors', 'model.safetensors.index.json'], 3],
    [['a-00002-of-00002.gguf', 'a-00001-of-00002.gguf'], 1],
    [['params_shard_0.bin', 'ndarray-cache.json'], 1],
    [['config.json', 'model.onnx', 'model.onnx_data'], 1],
  ])('%j', (names, i) => expect(entryOf(files(...names)).name).toBe(names[i]));
  test.each([[[]], [['a.bin']], [['a.gguf', 'b.gguf']]])('%j: none', (names) => {
    expect(() => entryOf(files(...names))).toThrow(ArgumentError);
  });
  test('what is no File', () => expect(() => entryOf(['a'])).toThrow(ArgumentError));
});
