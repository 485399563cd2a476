// y is added to nothing and has no twin: a text that may write a quad twice, or whose compiler stops at a read of y, includes this for
// lib/residual.wgsl.

fn with_residual(_at: u32, product: vec4<f32>) -> vec4<f32> { return product; }
fn leave_twin(_at: u32, _column: u32, _total: vec4<f32>) {}
