// `npm run audit`: asks the registry for advisories on the production packages of package-lock.json. Fails on those of
// severity high and critical; says "skipped" where no advisories can be had.
import { readAudit } from './lib/advisories.mjs';
import { run } from './lib/command.mjs';
import { runCommand } from './lib/main.mjs';
import { repository } from './lib/paths.mjs';
import { complain, say } from './lib/print.mjs';

await runCommand(async () => {
  const args = [
    'audit',
    '--omit=dev',
    '--json',
    '--package-lock-only',
    '--fetch-retries=0',
    '--fetch-timeout=30000',
  ];
  const { output } = await run('npm', args, { cwd: repository });
  const { kind, lines } = readAudit(output);
  for (const line of lines) (kind === 'severe' ? complain : say)(`audit: ${line}`);
  return kind === 'severe' ? 1 : 0;
});
