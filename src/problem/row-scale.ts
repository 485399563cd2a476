// A factor for each row of x, by which the sums of the row are multiplied before the bias: with RMSNorm's weight in x, RMSNorm.

/** Where factors come from: a buffer of float32. Offsets and pitch are in elements. */
export type RowScale = {
  /** The factors are in x's buffer, or in another. */
  readonly beside: boolean;
  /** Of the first factor, or of the first row that factors are made of. */
  readonly offset: number;
  /** kernel: the product multiplies its sums. rows: x is multiplied before, on its way to rows. */
  readonly by: 'kernel' | 'rows';
} & (
  | { readonly of: 'factors' }
  /** 1 / √(mean of the squares of `width` elements + epsilon) */
  | { readonly of: 'rms'; readonly pitch: number; readonly width: number; readonly epsilon: number }
);
