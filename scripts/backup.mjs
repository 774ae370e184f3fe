// `npm run backup`, `npm run restore`, `npm run verify-storage` (docs/operations.md).
import { runCommand } from './lib/main.mjs';
import { prepare } from './lib/prepare.mjs';
import { say } from './lib/print.mjs';

await runCommand(async () => {
  const [command, ...argv] = process.argv.slice(2);
  await prepare({ tools: [], tests: false, build: 'typescript' });
  const { runBackupCommand } = await import('./lib/backup-command.mjs');
  const result = await runBackupCommand(
    /** @type {import('./lib/backup-command.mjs').Command} */ (command),
    argv,
  );
  if (typeof result === 'number') return result;
  say(result);
  return 0;
});
process.exit(); // the watch for npm's end may still run
