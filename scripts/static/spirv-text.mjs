// Rewrites SPIR-V text for an assembler of 2023: newer opcodes become numbers.

/** Opcodes of SPV_KHR_cooperative_matrix. */
const MATRIX = {
  OpTypeCooperativeMatrixKHR: 4456,
  OpCooperativeMatrixLoadKHR: 4457,
  OpCooperativeMatrixStoreKHR: 4458,
  OpCooperativeMatrixMulAddKHR: 4459,
};
const NUMBERS = { NonPrivatePointer: '!32', NoneKHR: '!0' };

/** `%result = OpName %type …` as a raw word of length and opcode, then the operands in binary order: the type before the result. */
function rawMatrix(line) {
  const [, result, name, rest] = /^\s*(?:(%\S+) = )?(Op\w*CooperativeMatrix\w*)\s+(.*)$/.exec(line) ?? [];
  if (!(name in MATRIX)) return line;
  const operands = rest
    .trim()
    .split(/\s+/)
    .map((word) => NUMBERS[word] ?? word);
  if (result) operands.splice(name.startsWith('OpType') ? 0 : 1, 0, result);
  // A list of operands may continue on the next line.
  return `${name.startsWith('OpType') ? '' : 'OpNop\n'}!${(operands.length + 1) * 65536 + MATRIX[name]} ${operands.join(' ')}`;
}

export const plainNames = (text) =>
  text
    .replace(/\bMaximallyReconvergesKHR\b/g, '!6023')
    .replace(/OpCapability CooperativeMatrixKHR\b/, 'OpCapability !6022')
    .split('\n')
    .map(rawMatrix)
    .join('\n');
