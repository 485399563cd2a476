// What a device can do, as plain data: all that planning knows of a GPU.

export interface Caps {
  /** `shader-f16` is enabled on the device. */
  readonly f16: boolean;
  /** `subgroups` is enabled on the device. */
  readonly subgroups: boolean;
  /** A software adapter runs on the CPU's cores: no barriers, no workgroup memory, more work per invocation. */
  readonly software: boolean;
  readonly minSubgroupSize: number;
  readonly maxSubgroupSize: number;
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupStorageSize: number;
}
