import { basename, dirname, join } from 'node:path';

/** `model-00001-of-00003.gguf`: the first part of a split model. */
const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

export function isGguf(path: string): boolean {
  return path.endsWith('.gguf');
}

/** What a GGUF model is called: its file's name without what makes it a file or a part of several. */
export function ggufName(path: string): string {
  const name = basename(path);
  return PART.exec(name)?.[1] || basename(name, '.gguf');
}

/** All parts, in their order. Native has made sure that they are there. */
export function ggufFiles(path: string): string[] {
  const [, stem, , count] = PART.exec(basename(path)) ?? [];
  if (stem === undefined || count === undefined) return [path];
  return Array.from({ length: Number(count) }, (_, i) =>
    join(dirname(path), `${stem}-${String(i + 1).padStart(5, '0')}-of-${count}.gguf`),
  );
}
