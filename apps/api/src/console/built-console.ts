import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** From this file's place among the sources, and from the one in dist/. */
const CANDIDATES = ['../../../../build/console', '../../../../../build/console'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

/** Where `npm run build` leaves the console. */
export const BUILT_CONSOLE = CANDIDATES.find((path) => existsSync(path)) ?? CANDIDATES[0] ?? '';
