import type { AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader } from '#safetensors/header.js';

type Unread = Pick<BaseModel, 'unreadModules'>;

/**
 * Leaves out the tensors of modules that the base's class once had and never read. Transformers no longer has them, and
 * PEFT passes over their tensors.
 */
export function withoutUnread(header: SafetensorsHeader, { unreadModules = [] }: Unread): SafetensorsHeader {
  if (unreadModules.length === 0) return header;
  const tensors = header.tensors.filter(({ name }) => unreadModuleOf(name, unreadModules) === undefined);
  return tensors.length === header.tensors.length ? header : { ...header, tensors };
}

export function unreadWarnings(header: SafetensorsHeader, { unreadModules = [] }: Unread): AdapterWarning[] {
  const modules = new Set(header.tensors.flatMap(({ name }) => unreadModuleOf(name, unreadModules) ?? []));
  return [...modules].map((module) => ({
    code: 'module_unread',
    message: `${module} is never read: the layer takes its keys and values from another. What the file has for it is left out.`,
    module,
  }));
}

/** Whether a path names such a module. */
export function isUnread(path: string, { unreadModules = [] }: Unread): boolean {
  return unreadModuleOf(`.${path}.`, unreadModules) !== undefined;
}

/** By the end of its path, since classes with eyes or ears have a longer one. */
function unreadModuleOf(tensor: string, modules: readonly string[]): string | undefined {
  return modules.find((module) => tensor.includes(`.${module.replace(/^model\./, '')}.`));
}
