// A language model of a folder: of Hugging Face, or of MLC.
import { isMissing } from '../errors.js';
import { type Folder, optional, settingsIn } from './folder-files.js';
import { folderModel } from './folder-model.js';
import type { LanguageModel } from './language-model.js';
import { mlcModel } from './mlc-model.js';

/** MLC's configuration. Folders of both have config.json, too. */
const CHAT = 'mlc-chat-config.json';

/** @throws FormatError, UnsupportedError, ReadError; the reason of `signal` */
export async function openFolder(folder: Folder, signal?: AbortSignal): Promise<LanguageModel> {
  const { names } = folder;
  if (names?.includes(CHAT) && !names.some((one) => one.endsWith('.safetensors')))
    return mlcModel(folder, await settingsIn(folder, CHAT, signal), signal);
  try {
    return await folderModel(folder, signal);
  } catch (error) {
    // Folders of URLs have no list of names.
    const chat = !names && isMissing(error) ? await optional(settingsIn(folder, CHAT, signal)) : undefined;
    if (!chat) throw error;
    return mlcModel(folder, chat, signal);
  }
}
