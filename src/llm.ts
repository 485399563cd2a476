// antiquant/llm: language models.

export { ArgumentError, DeviceLostError, FormatError, GpuError, ReadError, ShaderError, UnsupportedError } from './errors.js';
export type { BytesFrom } from './files/byte-source.js';
export type { CacheStats } from './files/cached-source.js';
export type { CachedModel } from './files/model-cache.js';
export type { ByteSource, TensorFile, TensorInfo } from './files/tensor-file.js';
export type { Architecture, ArchitectureName, RopeKind, WindowRule } from './llm/architectures.js';
export type { AttentionConfig, Rope, Windows } from './llm/attention-config.js';
export type { Config, Experts } from './llm/config.js';
export type { LayerPart, OwnNames } from './llm/names.js';
export type { Yarn } from './llm/yarn.js';
export type { KvDType } from './llm-kernels/attention.js';
export type { Candidate, Sampler, SamplingOptions } from './llm-kernels/sampling-options.js';
export { LlmWorker, type LlmWorkerOptions } from './llm-worker/llm-worker.js';
export type { LogCode, Logger, LogRecord } from './log.js';
export type { ModelFiles, ModelFrom } from './model/open-language-model.js';
export type { Phase, Progress } from './progress.js';
export type { LlmEstimate } from './runtime/estimate.js';
export type { LlmExplanation, LlmProfile, LlmStats } from './runtime/explanation.js';
export { Llm } from './runtime/llm.js';
export type {
  ChatWithOptions,
  CompleteOptions,
  GeneratedId,
  GenerateOptions,
  LlmOptions,
  Piece,
  ProfileOptions,
  Reason,
  TokenBytes,
} from './runtime/options.js';
export type { Overflow, SlideOptions } from './runtime/slide.js';
export type { Dispatched } from './sequence/recordings.js';
export type { TimedPart, Times } from './sequence/time-tokens.js';
export { Detokenizer, type DetokenizerOptions, type TokenTable } from './text/detokenizer.js';
export type { ChatOptions, Message } from './text/template.js';
export type { EncodeOptions, Tokenizer } from './text/tokenizer.js';
