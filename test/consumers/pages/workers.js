// Bundlers that know `new Worker(new URL(…))` in packages need nothing.
export const workers = {};
