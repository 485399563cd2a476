// A shader's text without its comments, as the package carries it. Every line stays where it is, and so does every column: what a
// compiler says of the stripped text holds for the file in shaders/. Pure.

/** Comments to the end of a line are the only ones that shaders/ has; a test holds it to that. */
export const strip = (text: string): string => text.replace(/[ \t]*\/\/.*$/gm, '');
