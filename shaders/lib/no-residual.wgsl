// y is added to nothing: a text that may write a quad twice, or whose compiler stops at a read of y, includes this for lib/residual.wgsl.

fn with_residual(_at: u32, product: vec4<f32>) -> vec4<f32> { return product; }
