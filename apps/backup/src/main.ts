import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { BackupError } from './archive.js';
import { runBackup, runCheck, runRestore, runVerify } from './commands.js';

const USAGE = `Usage:
  backup FILE [--no-blobs] [--no-secrets] [--allow-damage]
  restore FILE [--replace] [--secrets-to FOLDER]
  check FILE
  verify-storage`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      blobs: { type: 'boolean', default: true },
      secrets: { type: 'boolean', default: true },
      'allow-damage': { type: 'boolean', default: false },
      replace: { type: 'boolean', default: false },
      'secrets-to': { type: 'string' },
    },
  });
  const [command, path, ...more] = positionals;
  if (more.length > 0) throw new BackupError(USAGE);
  if (command === 'verify-storage' && path === undefined) return runVerify();
  if (path === undefined) throw new BackupError(USAGE);
  const { blobs, secrets, replace, 'allow-damage': allowDamage, 'secrets-to': secretsTo } = values;
  if (command === 'backup') return runBackup(path, { blobs, secrets, allowDamage });
  if (command === 'restore') return runRestore(path, { replace, secretsTo });
  if (command === 'check') return runCheck(path);
  throw new BackupError(USAGE);
}

try {
  process.exitCode = await main();
} catch (error) {
  const known =
    error instanceof BackupError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  process.stderr.write(`${known ? (error as Error).message : ((error as Error).stack ?? String(error))}\n`);
  process.exitCode = 1;
}
