// A dispatch is at most 65,535 workgroups wide; more work is folded into y. This is the workgroup's index in the unfolded row.

fn linear_index(workgroup: vec3<u32>, count: vec3<u32>) -> u32 {
  return workgroup.y * count.x + workgroup.x;
}
