// Gated linear units: y = activation(gate) ∘ up, of the products of one x with two matrices.

/** The activations, by the uniform `act` of lib/glu.wgsl; 0 is none. */
export const GLUS: Readonly<Record<Glu, number>> = { silu: 1, gelu_tanh: 2, swiglu_oai: 3 };

/**
 * `silu` gate · sigmoid(gate) · up, the SwiGLU of llama, qwen and most others; `gelu_tanh` gelu(gate) · up by torch's approximation 'tanh',
 * the GeGLU of gemma; `swiglu_oai` g · sigmoid(1.702 g) · (u + 1), where g is gate up to 7 and u is up within ±7, of gpt-oss.
 */
export type Glu = 'silu' | 'gelu_tanh' | 'swiglu_oai';

/** Columns of y. */
export const columnsOfY = ({ n, glu }: { readonly n: number; readonly glu?: Glu | undefined }): number => (glu ? n / 2 : n);
