// What a device can do, as plain data: all that planning knows of a GPU.

/** One kind of subgroup matrix: (M, K) times (K, N) of one type into (M, N) of another. */
export interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What a device can do, as planning sees it. */
export interface Caps {
  /** `shader-f16` is enabled on the device. */
  readonly f16: boolean;
  /** `subgroups` is enabled on the device. */
  readonly subgroups: boolean;
  /** What `chromium-experimental-subgroup-matrix` can multiply; empty where it is not enabled on the device. */
  readonly subgroupMatrix: readonly MatrixConfig[];
  /** As the adapter names it, in lower case: 'amd', 'apple', 'intel', 'nvidia', …; may be empty. */
  readonly vendor: string;
  /** Invocations that it takes to keep the device busy. WebGPU does not tell: a guess. */
  readonly lanes: number;
  /** A software adapter runs on the CPU's cores: no barriers, no workgroup memory, more work per invocation. */
  readonly software: boolean;
  /** The hardware multiplies int8 four at a time (`dot4I8Packed`). */
  readonly dot4: boolean;
  readonly minSubgroupSize: number;
  readonly maxSubgroupSize: number;
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupStorageSize: number;
}
