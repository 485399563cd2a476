// A dispatch is at most 65,535 workgroups wide; more work is folded into y. This is the workgroup's index in the unfolded row.

fn linear_index(workgroup: vec3u, count: vec3u) -> u32 {
  return workgroup.y * count.x + workgroup.x;
}
