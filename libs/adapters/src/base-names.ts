import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader } from '#safetensors/header.js';

/** Where classes with eyes or ears hold the text model, which on its own is `model.`; today's spelling and the one before. */
const DEEPER = [
  { model: 'model.language_model.', head: 'lm_head' },
  { model: 'language_model.model.', head: 'language_model.lm_head' },
] as const;

const TEXT = { model: 'model.', head: 'lm_head' } as const;

export interface NamedBase<B> {
  /** The base with its modules named as the adapter's file names them. */
  readonly base: B;
  /** The base's own name of a module. */
  readonly own: (module: string) => string;
}

/**
 * An adapter that was trained on a vision-language class names the text model's modules by their longer paths, in its
 * tensors and in what target_modules matches, and changes the same modules.
 */
export function asNamedIn<B extends Pick<BaseModel, 'modules'>>(
  header: SafetensorsHeader,
  base: B,
): NamedBase<B> {
  const has = (prefix: string): boolean => base.modules.some(({ name }) => name.startsWith(prefix));
  const deeper = DEEPER.find(
    ({ model }) =>
      !has(model) && header.tensors.some(({ name }) => name.startsWith(`base_model.model.${model}`)),
  );
  if (!deeper) return { base, own: (module) => module };
  const modules = base.modules.map((module) => ({ ...module, name: swap(module.name, TEXT, deeper) }));
  return { base: { ...base, modules }, own: (module) => swap(module, deeper, TEXT) };
}

interface Places {
  readonly model: string;
  readonly head: string;
}

function swap(name: string, from: Places, to: Places): string {
  if (name === from.head) return to.head;
  return name.startsWith(from.model) ? to.model + name.slice(from.model.length) : name;
}
