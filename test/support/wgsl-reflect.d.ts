// Types of wgsl_reflect's ES module, which tests import by its path: Node takes the CommonJS main file for an ES module.
declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export * from 'wgsl_reflect';
}
