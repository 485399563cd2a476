// Caps: what a device can do, as plain data. Planning knows nothing else of a GPU.

/** One kind of subgroup matrix: (M, K) times (K, N) of one type into (M, N) of another. */
export interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What a device can do: all that planning knows of it. */
export interface Caps {
  /** `shader-f16` is enabled on the device. */
  readonly f16: boolean;
  /** `subgroups` is enabled on the device. */
  readonly subgroups: boolean;
  /** What `chromium-experimental-subgroup-matrix` can multiply; empty where it is not enabled on the device. */
  readonly subgroupMatrix: readonly MatrixConfig[];
  /** The adapter's vendor in lower case: 'amd', 'apple', 'intel', 'nvidia', …; may be empty. */
  readonly vendor: string;
  /** Number of invocations that keep the device busy. A guess: WebGPU does not tell. */
  readonly lanes: number;
  /** A software adapter, which runs on CPU cores: kernels avoid barriers and workgroup memory and do more work per invocation. */
  readonly software: boolean;
  /** Codes of 3 and 6 bits are held in 4 and 8: where time counts for more than memory. */
  readonly wideCodes: boolean;
  /** Scales of two levels are held as such; otherwise as float32: for a device that takes subnormal halves for 0. */
  readonly scaleUnits: boolean;
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
