/** Which servers run the code of a library (.dependency-cruiser.cjs says who imports whom). */
const SERVERS = /** @type {const} */ (['engine', 'worker', 'api']);
const OF_LIBRARY = /** @type {Readonly<Record<string, readonly string[]>>} */ ({
  serving: ['engine'],
  'native-engine': ['engine'],
  accounts: ['worker', 'api'],
  adapters: ['worker', 'api'],
  'safetensors-js': ['worker', 'api'],
  pipelines: ['worker', 'api'],
  fleet: ['worker', 'api'],
  inference: ['worker', 'api'],
});

/**
 * What has to be built and started again after files have changed. A library that is not in the list is everybody's.
 * @param {readonly string[]} paths  relative to the repository
 * @returns {{ native: boolean, apps: string[] }} the servers in the order of their start
 */
export function affectedBy(paths) {
  const sources = paths.filter(
    (path) => /\.(ts|cc|h|cu|txt)$/.test(path) && !/\.test\.ts$|\/test\//.test(path),
  );
  const native = sources.some((path) => path.startsWith('native/'));
  const apps = SERVERS.filter((server) =>
    sources.some((path) => {
      const [root = '', name = ''] = path.split('/');
      if (root === 'native') return server === 'engine';
      if (root === 'apps') return name === server;
      return (OF_LIBRARY[name] ?? SERVERS).includes(server);
    }),
  );
  return { native, apps };
}
