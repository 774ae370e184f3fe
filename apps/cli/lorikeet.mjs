#!/usr/bin/env node
// The command `lorikeet`. In the npm package its program lies beside it, in the clone `npm run build` compiles it.
import { existsSync } from 'node:fs';

const places = ['./dist/main.js', '../../dist/apps/cli/src/main.js'];
const program = places.map((place) => new URL(place, import.meta.url)).find((place) => existsSync(place));
if (program) {
  await import(program.href);
} else {
  process.stderr.write('lorikeet: it is not built yet; run: npm run build\n');
  process.exitCode = 1;
}
