// The model on the page: what all Workers must give.
import { onPage } from './model.js';

globalThis.result = await onPage(await (await fetch('/kjv.gguf')).arrayBuffer());
