import type { Plugin } from 'vite';
import { runnerImport } from 'vite';

const NAME = 'virtual:sampling-controls';
const RESOLVED = `\0${NAME}`;

interface Contract {
  readonly samplingControls: () => unknown;
}

/**
 * The module `virtual:sampling-controls`: the sampling fields of the API as data. They are read from the contract while the
 * console is built, so that the browser needs neither a list of its own nor the schemas' library.
 */
export function samplingControls(contract: string): Plugin {
  return {
    name: 'sampling-controls',
    resolveId: (id) => (id === NAME ? RESOLVED : undefined),
    async load(id) {
      if (id !== RESOLVED) return undefined;
      const { module } = await runnerImport<Contract>(contract);
      this.addWatchFile(contract);
      return `export const CONTROLS = ${JSON.stringify(module.samplingControls())};`;
    },
  };
}
