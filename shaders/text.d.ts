/** A shader's text, for bundlers that import .wgsl files as strings; with Vite `?raw` behind the name. */
declare const text: string;
export default text;
