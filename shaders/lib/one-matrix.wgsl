// The bindings have one matrix: it begins where they do.

fn w_start() -> u32 { return 0u; }
fn scale_start() -> u32 { return 0u; }
fn offset_start() -> u32 { return 0u; }
