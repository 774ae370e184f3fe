import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Whoami } from '#contracts/whoami-api.js';
import { ApiClient } from '../api-client.js';
import { ask, askSecret, readLine } from '../ask.js';
import type { Call, Command } from '../command.js';
import { checkUrl, type Connection, DEFAULT_URL, forgetConfig, saveConfig } from '../connection.js';
import { CommandError, UsageError } from '../faults.js';
import { recordText } from '../table.js';

export const login: Command = {
  path: ['login'],
  summary: "check a key and save it with the server's URL",
  options: {
    'key-stdin': { kind: 'flag', help: 'read the key from standard input instead of asking' },
    local: { kind: 'flag', help: 'as the operator of the server that `npm start` runs on this machine' },
    'data-dir': { kind: 'text', value: 'PATH', help: 'its DATA_DIR, for --local (default ./data)' },
  },
  notes: [
    'Without --url it asks for the URL too. The key is never an argument: other users could read it in the list of',
    'processes. It is saved in ~/.config/lorikeet/config.json, which only you may read.',
  ],
  async run(call) {
    const { values, print, configFile, signal } = call;
    const { url, key } = values.flag('local') ? await localServer(call) : await askedServer(call);
    const connection = { url, key, tenant: values.text('tenant') };
    const caller = await new ApiClient(connection, signal).get<Whoami>('/v1/whoami');
    await saveConfig(configFile, connection);
    print.result(caller, (known) => `logged in to ${url} as ${nameOf(known)}`);
  },
};

type Server = Pick<Connection, 'url' | 'key'>;

async function askedServer({ values, print, input, signal }: Call): Promise<Server> {
  const fromStdin = values.flag('key-stdin');
  const terminal = { input, output: print.err, signal };
  const given = values.text('url');
  if (given === undefined && fromStdin) throw new UsageError('--key-stdin needs --url');
  const url = checkUrl(given ?? ((await ask(`Server [${DEFAULT_URL}]: `, terminal)) || DEFAULT_URL));
  const key = fromStdin ? await readLine(input) : await askSecret('API key: ', terminal);
  if (!/^\S+$/.test(key)) throw new UsageError('the key is empty or has spaces in it');
  return { url, key };
}

/** What `npm start` left in its DATA_DIR: where it listens, and the operator's key. */
async function localServer({ values, env }: Call): Promise<Server> {
  const folder = resolve(values.text('data-dir') ?? (env.DATA_DIR || 'data'));
  const read = async (name: string) => {
    try {
      return (await readFile(join(folder, name), 'utf8')).trim();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES')
        throw new CommandError(`${join(folder, name)} is for the user alone who runs the server`);
      throw new CommandError(`no server has run on ${folder}; name its DATA_DIR with --data-dir`);
    }
  };
  const running = /(https?:\/\/\S+)/.exec(await read('running'))?.[1];
  const url = checkUrl(values.text('url') ?? running ?? DEFAULT_URL);
  return { url, key: env.ADMIN_API_KEY || (await read('admin-key')) };
}

export const logout: Command = {
  path: ['logout'],
  summary: 'forget the saved server and key',
  async run({ print, configFile }) {
    await forgetConfig(configFile);
    print.note('forgotten');
  },
};

export const whoami: Command = {
  path: ['whoami'],
  summary: 'tell whose key is in use and what it may do',
  async run({ print, api }) {
    const client = await api();
    const caller = await client.get<Whoami>('/v1/whoami');
    print.result(caller, ({ tenant, scopes, operator, key_id }) =>
      recordText({
        server: client.connection.url,
        key: key_id,
        operator: operator ? 'yes' : 'no',
        tenant: tenant?.name,
        state: tenant?.state,
        scopes,
      }),
    );
  },
};

function nameOf({ operator, tenant }: Whoami): string {
  const acting = tenant ? `tenant ${tenant.name}` : '';
  return operator ? `operator${acting && `, acting for ${acting}`}` : acting;
}
