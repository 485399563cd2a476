// The script of LlmWorker's worker. It is loaded by its URL, not imported.
import type { Port } from './messages.js';
import { serve } from './serve.js';

serve(globalThis as unknown as Port);
