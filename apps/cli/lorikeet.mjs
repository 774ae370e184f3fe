#!/usr/bin/env node
// The command `lorikeet`. The program itself is compiled to dist/ by `npm run build`.
import { existsSync } from 'node:fs';

const program = new URL('../../dist/apps/cli/src/main.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  process.stderr.write('lorikeet: it is not built yet; run: npm run build\n');
  process.exitCode = 1;
}
