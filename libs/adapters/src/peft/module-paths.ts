import type { BaseModel } from '#contracts/base-model.js';

/** Modules and all that contain them, in the base model's order: PEFT tries its patterns on every one. */
export function modulePaths(base: BaseModel): string[] {
  const paths = base.modules.flatMap(({ name }) => {
    const parts = name.split('.');
    return parts.map((_, index) => parts.slice(0, index + 1).join('.'));
  });
  return [...new Set(paths)];
}

/** Whether `suffix` is the path or a whole end of it: `b.c` of `a.b.c`, not `.c` or `xb.c`. */
export function pathEndsWith(path: string, suffix: string): boolean {
  return path === suffix || path.endsWith(`.${suffix}`);
}

/** `a.b.c` -> `b.c`, `c`: what may stand in target_modules for it besides the whole path. */
export function pathSuffixes(path: string): string[] {
  const parts = path.split('.');
  return parts.slice(1).map((_, index) => parts.slice(index + 1).join('.'));
}

export function isWithin(path: string, container: string): boolean {
  return path === container || path.startsWith(`${container}.`);
}
