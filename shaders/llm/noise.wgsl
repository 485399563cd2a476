// Gumbel noise: the largest of z + noise is a sample of softmax(z). It hangs on seed, position and id alone, so that a text can be made again.

// PCG3D by Mark Jarzynski and Marc Olano (Hash Functions for GPU Rendering, JCGT 2020).
fn hash_of(seed: u32, position: u32, id: u32) -> u32 {
  var v = vec3<u32>(id, position, seed) * 1664525u + vec3<u32>(1013904223u);
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3<u32>(16u);
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  return v.z;
}

// -log(-log(1 - v)), v = (hash + ½) / 2³². Where v is small 1 - v would round, and a device's log is not good near 1: its series is. 1 - v is
// made of the hash's complement, so that it is never 0: every hash gives a finite number.
fn gumbel(hash: u32) -> f32 {
  let v = (f32(hash) + 0.5) * 0x1p-32;
  var e = v * (1.0 + v * (0.5 + v * (1.0 / 3.0)));
  if (v >= 0x1p-8) { e = -log((f32(~hash) + 0.5) * 0x1p-32); }
  return -log(e);
}
