// What the shaders of language models have room for: numbers that a configuration is checked against, without the shaders' texts.

/** Experts of a layer that there is room for in a workgroup of llm/route. */
export const MOST_EXPERTS = 512;
