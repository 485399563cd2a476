// Import this first in files whose time goes into compiling: Mesa's lavapipe then compiles each kernel without LLVM's optimization, several times faster.
// What kernels compute is the same. Other files, Chromium and Deno run the optimized code. Holds no test.
process.env.GALLIVM_PERF ??= 'nopt';
