/** Who may import whom (docs/architecture.md). Every rule here is an error in `npm run check`. */
const lib = (name) => `^libs/${name}/`;
/** `from` may import only the libraries listed in `to` (and itself). */
const only = (from, to, files = []) => ({
  name: `${from.replace(/[^a-z-]+/g, ' ').trim()} imports only ${to.join(', ') || 'nothing of ours'}`,
  severity: 'error',
  from: { path: `^${from}/`, pathNot: '\\.test\\.ts$' },
  to: { path: '^(libs|apps|native|test|bench)/', pathNot: [`^${from}/`, ...to.map((t) => `^libs/${t}/`), ...files] },
});

module.exports = {
  forbidden: [
    { name: 'no cycles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    only('apps/api', ['accounts', 'adapters', 'batches', 'fleet', 'inference', 'pipelines', 'stores', 'runtime', 'contracts']),
    only('apps/backup', ['accounts', 'adapters', 'stores', 'runtime', 'contracts'], ['^apps/api/src/migrate-database\\.ts$']),
    only('apps/cli', ['hub', 'merge', 'contracts']),
    only('apps/console', ['contracts']),
    only('apps/worker', ['accounts', 'adapters', 'batches', 'fleet', 'hub', 'inference', 'merge', 'pipelines', 'stores', 'runtime', 'contracts']),
    only('apps/engine', ['hub', 'serving', 'native-engine', 'stores/src/blobs', 'runtime', 'contracts']),
    only('libs/accounts', ['stores', 'runtime', 'contracts']),
    only('libs/adapters', ['hub', 'safetensors-js', 'jinja', 'stores', 'runtime', 'contracts']),
    only('libs/batches', ['adapters', 'stores', 'runtime', 'contracts']),
    only('libs/pipelines', ['stores', 'runtime', 'contracts']),
    only('libs/inference', ['accounts', 'adapters', 'fleet', 'runtime', 'contracts']),
    only('libs/fleet', ['stores', 'runtime', 'contracts']),
    only('libs/serving', ['native-engine', 'grammar', 'jinja', 'stores/src/blobs', 'runtime', 'contracts']),
    only('libs/native-engine', ['contracts']),
    only('libs/stores', ['runtime', 'contracts']),
    only('libs/runtime', ['contracts']),
    only('libs/safetensors-js', []),
    only('libs/hub', []),
    only('libs/merge', ['safetensors-js', 'contracts']),
    only('libs/jinja', []),
    only('libs/grammar', ['contracts']),
    only('libs/contracts', []),
    {
      name: 'contracts imports only zod',
      severity: 'error',
      from: { path: lib('contracts'), pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm', 'npm-dev', 'core'], pathNot: 'node_modules/zod/' },
    },
    {
      name: 'safetensors-js has no dependency',
      severity: 'error',
      from: { path: lib('safetensors-js'), pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm', 'npm-dev'] },
    },
    {
      name: 'jinja has no dependency',
      severity: 'error',
      from: { path: lib('jinja'), pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm', 'npm-dev'] },
    },
    {
      name: 'the life of a request knows no HTTP',
      severity: 'error',
      from: { path: lib('inference'), pathNot: '\\.test\\.ts$' },
      to: { path: 'node_modules/(fastify|@fastify|@nestjs/(swagger|platform-fastify))/' },
    },
    {
      name: 'no production code imports a test',
      severity: 'error',
      from: { path: '^(apps|libs|migrations)/', pathNot: '\\.test\\.ts$' },
      to: { path: '(\\.test\\.ts$|^test/)' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|build)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { conditionNames: ['source', 'import', 'node', 'default'], extensions: ['.ts', '.js', '.mjs'] },
  },
};
