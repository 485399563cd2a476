// Chat templates: Jinja texts that make a prompt of messages, rendered by @huggingface/jinja.
import { anything, dictionary, fields, flag, list, object, onlyFields, optional, text } from '../arguments/check.js';
import { ArgumentError, FormatError, UnsupportedError } from '../errors.js';
import { show } from '../files/show.js';
import { importJinja } from './peers.js';

/** `role` is `system`, `user`, `assistant`, `tool` or what the template knows; it may ask for more fields. */
export interface Message {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** What a chat template is given beside the messages. */
export interface ChatOptions {
  /** Functions that the model may call, in the form that the template expects. */
  readonly tools?: readonly object[];
  /** Variables of the template, such as `enable_thinking`. */
  readonly templateOptions?: Readonly<Record<string, unknown>>;
  /** End with the beginning of an answer. Default: true. */
  readonly addGenerationPrompt?: boolean;
  /** `bos_token`, `eos_token`, …: `Tokenizer.names`. */
  readonly names?: Readonly<Record<string, string>>;
}

/** Templates by name: `default`, and those for special cases, such as `tool_use`. */
export type ChatTemplates = ReadonlyMap<string, string>;

const FIELD = 'tokenizer.chat_template';

/** The templates of a GGUF file. @throws FormatError */
export function ggufTemplates(metadata: Readonly<Record<string, unknown>>, file?: string): ChatTemplates {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(metadata)) {
    if (key !== FIELD && !key.startsWith(`${FIELD}.`)) continue;
    if (typeof value !== 'string') throw new FormatError({ file, field: key }, 'a template', show(value));
    found.set(key === FIELD ? 'default' : key.slice(FIELD.length + 1), value);
  }
  return found;
}

/** The templates of tokenizer_config.json: a text, or a list of `{ name, template }`. @throws FormatError */
export function jsonTemplates(config: Readonly<Record<string, unknown>>, file = 'tokenizer_config.json'): ChatTemplates {
  const given = config.chat_template;
  if (given === undefined || given === null) return new Map();
  if (typeof given === 'string') return new Map([['default', given]]);
  const one = fields({ name: text, template: text });
  try {
    return new Map(list(one)(given, 'chat_template').map(({ name, template }) => [name, template]));
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    throw new FormatError({ file, field: error.argument }, error.expected, error.got);
  }
}

const MESSAGES = list(dictionary(anything));
const OPTIONS = onlyFields({
  tools: optional(list(object)),
  templateOptions: optional(dictionary(anything)),
  addGenerationPrompt: optional(flag),
  names: optional(dictionary(text)),
});

/**
 * The prompt of a conversation. Encode it with `special: true`: the template writes special tokens as text.
 * Variables are those of Transformers' apply_chat_template: messages, tools, documents, add_generation_prompt, the special tokens.
 * @throws UnsupportedError without a template, or without @huggingface/jinja; FormatError for a template that cannot be read; ArgumentError
 *   for messages that the template refuses
 */
export async function renderChat(templates: ChatTemplates, messages: readonly Message[], options: ChatOptions = {}): Promise<string> {
  const given = MESSAGES(messages, 'messages');
  for (const [i, { role }] of given.entries()) text(role, `messages[${i}].role`);
  const { tools = null, templateOptions = {}, addGenerationPrompt = true, names = {} } = OPTIONS(options, 'options');
  const template = (tools && templates.get('tool_use')) ?? templates.get('default');
  if (template === undefined)
    throw new UnsupportedError('chat', ['the model has no chat template: use complete, with the prompt as it should be']);
  const compiled = await compile(template);
  try {
    return compiled.render({
      ...names,
      documents: null,
      ...templateOptions,
      messages: given,
      tools,
      add_generation_prompt: addGenerationPrompt,
    });
  } catch (cause) {
    const error = new ArgumentError('messages', 'what the chat template takes', message(cause));
    error.cause = cause;
    throw error;
  }
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

interface Compiled {
  render(variables: Record<string, unknown>): string;
}

/** A conversation renders one template again and again. */
let last: { readonly template: string; readonly compiled: Compiled } | undefined;

async function compile(template: string): Promise<Compiled> {
  if (last?.template === template) return last.compiled;
  const { Template } = await importJinja();
  try {
    const compiled: Compiled = new Template(template);
    last = { template, compiled };
    return compiled;
  } catch (cause) {
    const error = new FormatError({ field: 'chat_template' }, 'a template that @huggingface/jinja reads', message(cause));
    error.cause = cause;
    throw error;
  }
}
