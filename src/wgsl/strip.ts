// Removes the comments of a shader, as the package carries it. Lines and columns stay, so a compiler's messages fit the file in shaders/.
// Pure.

/** shaders/ has only comments to the end of a line; a test checks it. */
export const strip = (text: string): string => text.replace(/[ \t]*\/\/.*$/gm, '');
