import type { ManifestModule } from '#contracts/adapter-manifest.js';
import type { BaseModule } from '#contracts/base-model.js';
import type { SafetensorsHeader } from '#safetensors/header.js';

/** Projections of one input that some models have as one module, and others apart: rows one below the other, in this order. */
const FUSED = [
  { whole: 'qkv_proj', parts: ['q_proj', 'k_proj', 'v_proj'] },
  { whole: 'gate_up_proj', parts: ['gate_proj', 'up_proj'] },
] as const;

/** Where the base has what a module of the file's is. */
export type OwnPlace = Pick<ManifestModule, 'module' | 'part' | 'within'>;

export interface CrosswiseModule {
  /** As the file names it. */
  readonly module: BaseModule;
  readonly own: readonly OwnPlace[];
}

/**
 * The base's modules with those exchanged that the file has fused and the base apart, or the other way round. Both are exact:
 * a delta of fused rows is one for each part with A in common, and deltas of parts are one whose B is their blocks.
 */
export function crosswiseModules(
  header: SafetensorsHeader,
  modules: readonly BaseModule[],
): readonly CrosswiseModule[] | undefined {
  const named = namedPaths(header);
  const byName = new Map(modules.map((module) => [module.name, module]));
  let changed = false;
  const result = modules.flatMap((module): CrosswiseModule[] => {
    const exchanged = fusedOf(module, byName, named) ?? partsOf(module, byName, named);
    changed ||= exchanged !== undefined;
    return exchanged ?? [{ module, own: [{ module: module.name }] }];
  });
  return changed ? result : undefined;
}

/** Paths of which the file has tensors. */
function namedPaths({ tensors }: SafetensorsHeader): ReadonlySet<string> {
  return new Set(
    tensors.flatMap(({ name }) => {
      const path = /^base_model\.model\.(.+?)\.(?:base_layer|lora_|modules_to_save|weight$|bias$)/.exec(
        name,
      )?.[1];
      return path === undefined ? [] : [path];
    }),
  );
}

function split(path: string): { readonly container: string; readonly leaf: string } {
  const at = path.lastIndexOf('.') + 1;
  return { container: path.slice(0, at), leaf: path.slice(at) };
}

/** For the first of modules that the file has as one: that one; for the others nothing. */
function fusedOf(
  { name }: BaseModule,
  byName: ReadonlyMap<string, BaseModule>,
  named: ReadonlySet<string>,
): CrosswiseModule[] | undefined {
  const { container, leaf } = split(name);
  const fused = FUSED.find(({ parts }) => (parts as readonly string[]).includes(leaf));
  if (!fused || !named.has(container + fused.whole) || byName.has(container + fused.whole)) return undefined;
  const parts = fused.parts.map((part) => byName.get(container + part));
  if (!parts.every((part): part is BaseModule => part?.kind === 'linear' && part.transposed !== true))
    return undefined;
  if (fused.parts[0] !== leaf) return [];
  const out = parts.reduce((sum, part) => sum + part.out, 0);
  let first = 0;
  const own = parts.map((part) => {
    const place = { module: part.name, within: { first, of: out } };
    first += part.out;
    return place;
  });
  const width = parts[0]?.in ?? 0;
  const bias = parts.every((part) => part.bias);
  return [{ module: { name: container + fused.whole, kind: 'linear', out, in: width, bias }, own }];
}

/** The parts of a module that the file has apart. */
function partsOf(
  { name, parts, bias, ...module }: BaseModule,
  byName: ReadonlyMap<string, BaseModule>,
  named: ReadonlySet<string>,
): CrosswiseModule[] | undefined {
  const { container, leaf } = split(name);
  const fused = FUSED.find(({ whole }) => whole === leaf);
  if (!fused || parts?.length !== fused.parts.length || module.transposed === true) return undefined;
  const paths = fused.parts.map((part) => container + part);
  if (!paths.some((path) => named.has(path)) || paths.some((path) => byName.has(path))) return undefined;
  return paths.map((path, part) => ({
    module: { ...module, name: path, out: parts[part] ?? 0, bias },
    own: [{ module: name, part }],
  }));
}
