import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { expertModules, expertSpelling } from './expert-names.js';
import { crosswiseModules, type OwnPlace } from './fused-names.js';

/** Where classes with eyes or ears hold the text model, which on its own is `model.`; today's spelling and the one before. */
const DEEPER = [
  { model: 'model.language_model.', head: 'lm_head' },
  { model: 'language_model.model.', head: 'language_model.lm_head' },
] as const;

const TEXT = { model: 'model.', head: 'lm_head' } as const;

/** What Transformers 4 called the `mlp` of layers with experts in Mixtral. */
const SPARSE_BLOCK = '.block_sparse_moe.';
const MLP = '.mlp.';

type Named = Pick<BaseModel, 'modules' | 'experts'>;

export interface NamedBase<B> {
  /** The base with its modules named as the adapter's file names them. */
  readonly base: B;
  /** Where the base itself has a module. */
  readonly own: (module: string) => readonly OwnPlace[];
}

interface RenamedBase<B> {
  readonly base: B;
  readonly own: (module: string) => string;
}

/**
 * An adapter that was trained on a vision-language class names the text model's modules by their longer paths, in its
 * tensors and in what target_modules matches, and changes the same modules; so does one of Transformers 4, for which each
 * expert was a module of its own, and one of a class with fused or split projections where the base has them otherwise.
 * The base has those modules where the file has tensors of them.
 */
export function asNamedIn<B extends Named>(header: SafetensorsHeader, base: B): NamedBase<B> {
  const { base: named, own } = renamedAs(header, base);
  const spelling = named.experts && expertSpelling(header, named.experts);
  const crosswise = crosswiseModules(header, named.modules);
  const added = spelling && named.experts ? expertModules(named.experts, spelling) : [];
  if (!crosswise && added.length === 0) return { base: named, own: (module) => [{ module: own(module) }] };
  const places = new Map<string, readonly OwnPlace[]>([
    ...(crosswise ?? []).map(({ module, own: at }) => [module.name, at] as const),
    ...added.map(({ module, own: name }) => [module.name, [{ module: name }]] as const),
  ]);
  const modules = crosswise?.map(({ module }) => module) ?? named.modules;
  return {
    // In front: the last linear module is the output head.
    base: { ...named, modules: [...added.map(({ module }) => module), ...modules] },
    own: (module) => (places.get(module) ?? [{ module }]).map((at) => ({ ...at, module: own(at.module) })),
  };
}

function renamedAs<B extends Named>(header: SafetensorsHeader, base: B): RenamedBase<B> {
  const has = (prefix: string): boolean => base.modules.some(({ name }) => name.startsWith(prefix));
  const deeper = DEEPER.find(
    ({ model }) =>
      !has(model) && header.tensors.some(({ name }) => name.startsWith(`base_model.model.${model}`)),
  );
  const sparse =
    base.experts?.some(({ name }) => name.includes(SPARSE_BLOCK)) === false &&
    header.tensors.some(({ name }) => name.includes(SPARSE_BLOCK));
  if (!deeper && !sparse) return { base, own: (module) => module };
  const containers = new Set(base.experts?.map(({ name }) => `${name.slice(0, name.lastIndexOf('.'))}.`));
  const isSparse = (name: string): boolean =>
    sparse && [...containers].some((container) => name.startsWith(container));
  const rename = (name: string): string => {
    const moved = isSparse(name) ? name.replace(MLP, SPARSE_BLOCK) : name;
    return deeper ? swap(moved, TEXT, deeper) : moved;
  };
  const modules = base.modules.map((module) => ({ ...module, name: rename(module.name) }));
  const experts = base.experts?.map((layer) => ({ ...layer, name: rename(layer.name) }));
  return {
    base: { ...base, modules, ...(experts && { experts }) },
    own: (module) => {
      const name = deeper ? swap(module, deeper, TEXT) : module;
      return sparse ? name.replace(SPARSE_BLOCK, MLP) : name;
    },
  };
}

interface Places {
  readonly model: string;
  readonly head: string;
}

function swap(name: string, from: Places, to: Places): string {
  if (name === from.head) return to.head;
  return name.startsWith(from.model) ? to.model + name.slice(from.model.length) : name;
}
