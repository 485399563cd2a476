// Sinks: a score of each head of queries beside those of its keys, which weights nothing. It only takes a share of the softmax.

#param SINKS 0 1 // are there sinks?

#if SINKS
@group(0) @binding(9) var<storage, read> sinks: array<f32>; // [H]
#endif

// The weight of a head's sink beside those of its keys, exp(score - top) each. exp(87) is finite, and keys weigh nothing beside it. NaN stays NaN.
fn sink_weight(head: u32, top: f32) -> f32 {
#if SINKS
  let above = sinks[head] - top;
  return exp(select(above, 87.0, above > 87.0));
#else
  return 0.0;
#endif
}
