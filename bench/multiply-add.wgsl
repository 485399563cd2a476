// a = a · factor + term, over and over in registers: the most f32 multiply-adds a second. One of the bench's two limits.
// CHAINS independent sums an invocation (as vec4s) keep the pipelines full; too many spill, and where that begins differs by adapter.
//
// sums   [i]   f32, one an invocation, so that nothing can be left out

struct Params {
  rounds: u32, // of 8 multiply-adds for each chain; from a uniform, so that the loop stays a loop
}

const LANES = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(LANES) fn chains8(@builtin(global_invocation_id) id: vec3<u32>) {
  let factor = vec4(0.5 + f32(id.x & 7u) * 0.01);
  let term = vec4(0.25);
  var a0 = vec4<f32>(f32(id.x + 0u));
  var a1 = vec4<f32>(f32(id.x + 1u));
  for (var i = params.rounds; i > 0u; i--) {
    a0 = a0 * factor + term; a1 = a1 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term;
  }
  sums[id.x] = dot(a0 + a1, vec4(1.0));
}

@compute @workgroup_size(LANES) fn chains12(@builtin(global_invocation_id) id: vec3<u32>) {
  let factor = vec4(0.5 + f32(id.x & 7u) * 0.01);
  let term = vec4(0.25);
  var a0 = vec4<f32>(f32(id.x + 0u));
  var a1 = vec4<f32>(f32(id.x + 1u));
  var a2 = vec4<f32>(f32(id.x + 2u));
  for (var i = params.rounds; i > 0u; i--) {
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term;
  }
  sums[id.x] = dot(a0 + a1 + a2, vec4(1.0));
}

@compute @workgroup_size(LANES) fn chains16(@builtin(global_invocation_id) id: vec3<u32>) {
  let factor = vec4(0.5 + f32(id.x & 7u) * 0.01);
  let term = vec4(0.25);
  var a0 = vec4<f32>(f32(id.x + 0u));
  var a1 = vec4<f32>(f32(id.x + 1u));
  var a2 = vec4<f32>(f32(id.x + 2u));
  var a3 = vec4<f32>(f32(id.x + 3u));
  for (var i = params.rounds; i > 0u; i--) {
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term; a3 = a3 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term; a3 = a3 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term; a3 = a3 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term; a3 = a3 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term; a3 = a3 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term; a3 = a3 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term; a3 = a3 * factor + term;
    a0 = a0 * factor + term; a1 = a1 * factor + term; a2 = a2 * factor + term; a3 = a3 * factor + term;
  }
  sums[id.x] = dot(a0 + a1 + a2 + a3, vec4(1.0));
}
