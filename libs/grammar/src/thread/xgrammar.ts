import { readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';

/** The automaton library: WebAssembly without threads. What it cannot read it aborts on, and then does nothing more. */
export type Xgrammar = typeof import('@mlc-ai/web-xgrammar');

/** Its package is CommonJS and says that it is not, so that neither `import` nor `require` can read it. */
export function loadXgrammar(): Xgrammar {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@mlc-ai/web-xgrammar');
  const name = `${path}.cjs`;
  const module = new Module(name);
  module.filename = name;
  // Node's own way from a source to a module; its name says that it is not documented.
  const compile = Reflect.get(module, '_compile') as (source: string, filename: string) => void;
  compile.call(module, readFileSync(path, 'utf8'), name);
  return module.exports as Xgrammar;
}
