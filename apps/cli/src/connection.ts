import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CommandError, UsageError } from './faults.js';

export const DEFAULT_URL = 'http://127.0.0.1:8080';

/** Where a command goes, and as whom. */
export interface Connection {
  readonly url: string;
  readonly key: string;
  /** The tenant that an operator key acts for. */
  readonly tenant: string | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;
type Overrides = Readonly<{ url: string | undefined; tenant: string | undefined }>;

export function configFileOf(env: Env): string {
  return join(env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'lorikeet', 'config.json');
}

/** The command line wins over the environment, and that over what `login` saved. */
export async function readConnection(configFile: string, env: Env, options: Overrides): Promise<Connection> {
  const saved = await readConfig(configFile);
  const url = options.url ?? (env.LORIKEET_URL || saved?.url);
  // A saved key is for the saved server alone: it must not be sent to whatever another URL names.
  const key = env.LORIKEET_API_KEY || (saved && checkUrl(url ?? '') === saved.url ? saved.key : undefined);
  if (url === undefined && key === undefined) {
    throw new CommandError(
      'nobody has logged in; run: lorikeet login (or set LORIKEET_URL and LORIKEET_API_KEY)',
    );
  }
  if (key === undefined) {
    throw new CommandError(
      `no key is known for ${url}; run: lorikeet login --url ${url} (or set LORIKEET_API_KEY)`,
    );
  }
  const tenant = options.tenant ?? (env.LORIKEET_TENANT || saved?.tenant);
  return { url: checkUrl(url ?? DEFAULT_URL), key, tenant };
}

/** Without what may follow the host and port; throws UsageError for what is no HTTP address. */
export function checkUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new UsageError(`expected the server's URL, e.g. ${DEFAULT_URL}, got "${text}"`);
  }
  return text.replace(/\/+$/, '');
}

/** Only its owner may read the file, also while it is being written. */
export async function saveConfig(file: string, connection: Connection): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}`;
  try {
    await writeFile(temporary, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600 });
    await chmod(temporary, 0o600);
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
}

export async function forgetConfig(file: string): Promise<void> {
  await rm(file, { force: true });
}

async function readConfig(file: string): Promise<Connection | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CommandError(`${file} cannot be read: ${(error as Error).message}`);
  }
  const config = parse(text);
  if (typeof config?.url !== 'string' || typeof config.key !== 'string') {
    throw new CommandError(`${file} is damaged; run: lorikeet login`);
  }
  const tenant = typeof config.tenant === 'string' ? config.tenant : undefined;
  return { url: config.url, key: config.key, tenant };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
