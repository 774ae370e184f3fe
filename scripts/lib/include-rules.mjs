/**
 * Who may include whom in native/: binding and tools -> model -> backend/interface <- backend/{reference,cpu,cuda}.
 * backend/shared holds what the numbers mean (types, quantizations, sampling), for all of them. CMakeLists.txt says
 * the same with targets, but only of what is built; this also says which rule an include breaks.
 */
const MAY_INCLUDE = /** @type {const} */ ({
  'backend/interface': ['backend/interface'],
  'backend/shared': ['backend/interface', 'backend/shared'],
  'backend/reference': ['backend/interface', 'backend/shared', 'backend/reference'],
  'backend/cpu': ['backend/interface', 'backend/shared', 'backend/cpu'],
  'backend/cuda': ['backend/interface', 'backend/shared', 'backend/cuda'],
  model: ['model', 'backend/interface', 'backend/shared'],
  binding: ['binding', 'model', 'backend/interface', 'backend/shared'],
  tools: ['model', 'backend/interface', 'backend/shared'],
  // Knows nothing of ours, and nobody includes it: programs meet it as a driver, at run time.
  simulator: ['simulator'],
  test: [
    'test',
    'binding',
    'model',
    'backend/interface',
    'backend/shared',
    'backend/reference',
    'backend/cpu',
    'backend/cuda',
  ],
});

/** Headers of others that only one part may see, so that it alone depends on them. */
const OWNED_HEADERS = /** @type {const} */ ([
  { header: /^napi\.h$|^node_api\.h$/, part: 'binding' },
  { header: /^cuda_runtime(_api)?\.h$|^cuda\.h$|^cublas/, part: 'backend/cuda' },
]);

/** @param {string} path  relative to native/ @returns {string} the part that it belongs to */
function partOf(path) {
  const folders = path.split('/').slice(0, -1);
  return folders[0] === 'backend' ? folders.slice(0, 2).join('/') : (folders[0] ?? '');
}

/** @param {string} from @param {string} included  as written @returns {string} relative to native/ */
function resolveInclude(from, included) {
  const folder = from.split('/').slice(0, -1);
  return /^(backend|model|binding|test|simulator)\//.test(included)
    ? included
    : [...folder, included].join('/');
}

/**
 * The includes of one native file that its place does not allow.
 * @param {string} path  relative to native/
 * @param {string} source
 * @returns {string[]}
 */
export function includeFaults(path, source) {
  const part = partOf(path);
  const allowed = /** @type {Readonly<Record<string, readonly string[]>>} */ (MAY_INCLUDE)[part];
  if (allowed === undefined)
    return [`native/${path}: no rule says where this folder stands (include-rules.mjs)`];
  /** @type {string[]} */
  const faults = [];
  for (const [, open, name] of source.matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm)) {
    if (name === undefined) continue;
    const owned = OWNED_HEADERS.find(({ header }) => header.test(name));
    if (owned && owned.part !== part)
      faults.push(`native/${path}: only native/${owned.part} may include ${name}`);
    if (open !== '"') continue;
    const target = partOf(resolveInclude(path, name));
    if (!owned && target in MAY_INCLUDE && !allowed.includes(target)) {
      faults.push(`native/${path}: native/${part} may not include ${name} (native/${target})`);
    }
  }
  return faults;
}
