// Prompts of conversations, by templates such as models have.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ArgumentError, FormatError, UnsupportedError } from '../../../src/errors.js';
import { ggufTemplates, jsonTemplates, type Message, renderChat } from '../../../src/text/template.js';

const of = (template: string, more: Readonly<Record<string, string>> = {}) => new Map(Object.entries({ default: template, ...more }));
const SYSTEM = { role: 'system', content: 'Be brief.' };
const USER = { role: 'user', content: 'Why?' };
const ANSWER = { role: 'assistant', content: ' So. ' };

/** ChatML, with an option and tools. */
const CHATML = `{%- if tools %}
    {{- '<|im_start|>tools\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson }}
        {{- '\\n' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}`;

/** Llama 2's, which refuses roles in a wrong order. */
const LLAMA2 = `{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'] | trim + ' [/INST]' }}{% else %}{{ ' ' + message['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}`;

test('ChatML', async () => {
  const wanted = '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n';
  expect(await renderChat(of(CHATML), [SYSTEM, USER])).toBe(`${wanted}<|im_start|>assistant\n`);
  expect(await renderChat(of(CHATML), [SYSTEM, USER], { addGenerationPrompt: false })).toBe(wanted);
  expect(await renderChat(of(CHATML), [SYSTEM, USER], { templateOptions: { enable_thinking: false } })).toBe(
    `${wanted}<|im_start|>assistant\n<think>\n\n</think>\n\n`,
  );
});

test('tools go to the template', async () => {
  const tools = [{ type: 'function', function: { name: 'add', parameters: {} } }];
  expect(await renderChat(of(CHATML), [USER], { tools })).toBe(
    '<|im_start|>tools\n{"type": "function", "function": {"name": "add", "parameters": {}}}\n<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n',
  );
});

test('special tokens by name', async () => {
  const names = { bos_token: '<s>', eos_token: '</s>' };
  expect(await renderChat(of(LLAMA2), [USER, ANSWER, USER], { names })).toBe('<s>[INST] Why? [/INST] So. </s><s>[INST] Why? [/INST]');
});

test('variables of Transformers are there, and those that are not given are none', async () => {
  const template = '{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ x is defined }}';
  expect(await renderChat(of(template), [])).toBe('true true true false');
});

test('fields of messages and nothing of the page', async () => {
  const template =
    "{{ messages[0].name }} {{ messages[0]['__proto__'] is defined }} {{ constructor is defined }} {{ globalThis is defined }}";
  expect(await renderChat(of(template), [{ ...USER, name: 'n' }])).toBe('n false false false');
});

test('blocks take the line end after them, and a template its last one, as in Transformers', async () =>
  expect(await renderChat(of('{% if true %}\nx\n  {% endif %}\ny\n'), [])).toBe('x\ny'));

describe('refused', () => {
  test('what the template raises', async () => {
    const error = await renderChat(of(LLAMA2), [SYSTEM, USER], { names: { bos_token: '', eos_token: '' } }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toBe(
      'messages: expected what the chat template takes, got Conversation roles must alternate user/assistant/user/assistant/...',
    );
  });
  test('messages that a template cannot use', async () => {
    const error = await renderChat(of("{{ messages[0]['content'] | trim }}"), [{ role: 'user', content: 5 }]).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as ArgumentError).argument).toBe('messages');
  });
  test.each(['{% if %}', '{{ x', '{% for %}', '{% endif %}', '{{ 1 + }}', '{% klingon %}'])(
    'a template that cannot be read: %s',
    async (template) => {
      const error = await renderChat(of(template), [USER]).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(FormatError);
      expect((error as FormatError).field).toBe('chat_template');
      // And again: what failed is not kept.
      await expect(renderChat(of(template), [USER])).rejects.toBeInstanceOf(FormatError);
    },
  );
  test('no template', async () => {
    const error = await renderChat(new Map(), [USER]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnsupportedError);
    expect((error as Error).message).toBe('chat: the model has no chat template: use complete, with the prompt as it should be');
  });
  test.each([
    [5, {}, 'messages: expected an array, got 5'],
    [['hi'], {}, 'messages[0]: expected an object, got "hi"'],
    [[{ content: 'x' }], {}, 'messages[0].role: expected a string, got undefined'],
    [[USER], { tool: [] }, 'tool: expected tools or templateOptions or addGenerationPrompt or names, got an unknown option'],
    [[USER], { tools: [5] }, 'tools[0]: expected an object, got 5'],
    [[USER], { addGenerationPrompt: 1 }, 'addGenerationPrompt: expected true or false, got 1'],
  ])('%j %j', async (messages, options, message) => {
    await expect(renderChat(of(CHATML), messages as Message[], options as object)).rejects.toThrow(message);
  });
});

describe('templates by name', () => {
  test('of a GGUF file', async () => {
    const templates = ggufTemplates({
      'tokenizer.chat_template': 'plain',
      'tokenizer.chat_template.tool_use': 'with tools',
      'tokenizer.chat_templates': ['tool_use'],
    });
    expect(await renderChat(templates, [USER])).toBe('plain');
    expect(await renderChat(templates, [USER], { tools: [{}] })).toBe('with tools');
    expect(await renderChat(ggufTemplates({ 'tokenizer.chat_template': 'plain' }), [USER], { tools: [{}] })).toBe('plain');
    expect(ggufTemplates({}).size).toBe(0);
    expect(() => ggufTemplates({ 'tokenizer.chat_template': 5 }, 'x.gguf')).toThrow(
      'x.gguf: tokenizer.chat_template: expected a template, got 5',
    );
  });
  test('of tokenizer_config.json', async () => {
    expect(await renderChat(jsonTemplates({ chat_template: 'plain' }), [USER])).toBe('plain');
    const two = [
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: 'with tools' },
    ];
    expect(await renderChat(jsonTemplates({ chat_template: two }), [USER], { tools: [{}] })).toBe('with tools');
    expect(jsonTemplates({}).size + jsonTemplates({ chat_template: null }).size).toBe(0);
    expect(() => jsonTemplates({ chat_template: [{ name: 'x' }] })).toThrow(FormatError);
    expect(() => jsonTemplates({ chat_template: 5 })).toThrow('tokenizer_config.json: chat_template: expected an array, got 5');
  });
});

describe('without @huggingface/jinja', () => {
  afterEach(() => {
    vi.doUnmock('@huggingface/jinja');
    vi.resetModules();
  });
  test('an error says which package to install', async () => {
    vi.doMock('@huggingface/jinja', () => {
      throw new Error('not installed');
    });
    const error = (await renderChat(of('not compiled before'), [USER]).catch((thrown: unknown) => thrown)) as UnsupportedError;
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.reasons[0]).toBe('it cannot be imported: install it by `npm install @huggingface/jinja`');
  });
});
