// `npm run check`: format, lint, types, import and include rules. `npm run check -- --fix` formats first.
import { CHECKS, formatAll } from './lib/checks.mjs';
import { runCommand } from './lib/main.mjs';
import { prepare } from './lib/prepare.mjs';
import { complain, say } from './lib/print.mjs';
import { TOOLS } from './lib/tools.mjs';

await runCommand(async () => {
  await prepare({ tools: [TOOLS.clangFormat], tests: false, build: false });
  if (process.argv.includes('--fix')) await formatAll();
  const failed = [];
  for (const { name, check } of CHECKS) {
    const { ok, output } = await check();
    (ok ? say : complain)(`${ok ? 'ok  ' : 'FAIL'} ${name}`);
    if (output.trim() !== '' && (!ok || name === 'long files' || output.startsWith('skipped')))
      say(output.trimEnd().replace(/^/gm, '     '));
    if (!ok) failed.push(name);
  }
  if (failed.length === 0) return 0;
  complain(`Not passed: ${failed.join(', ')}`);
  return 1;
});
