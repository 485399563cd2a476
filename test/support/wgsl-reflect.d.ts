// wgsl_reflect's main file is CommonJS that Node takes for an ES module, so tests import the ES module by its path. Same types.
declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export * from 'wgsl_reflect';
}
