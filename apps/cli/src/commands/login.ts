import type { Whoami } from '#contracts/whoami-api.js';
import { ApiClient } from '../api-client.js';
import { ask, askSecret, readLine } from '../ask.js';
import type { Command } from '../command.js';
import { checkUrl, DEFAULT_URL, forgetConfig, saveConfig } from '../connection.js';
import { UsageError } from '../faults.js';
import { recordText } from '../table.js';

export const login: Command = {
  path: ['login'],
  summary: "check a key and save it with the server's URL",
  options: { 'key-stdin': { kind: 'flag', help: 'read the key from standard input instead of asking' } },
  notes: [
    'Without --url it asks for the URL too. The key is never an argument: other users could read it in the list of',
    'processes. It is saved in ~/.config/lorikeet/config.json, which only you may read.',
  ],
  async run({ values, print, input, configFile, signal }) {
    const fromStdin = values.flag('key-stdin');
    const terminal = { input, output: print.err, signal };
    const given = values.text('url');
    if (given === undefined && fromStdin) throw new UsageError('--key-stdin needs --url');
    const url = checkUrl(given ?? ((await ask(`Server [${DEFAULT_URL}]: `, terminal)) || DEFAULT_URL));
    const key = fromStdin ? await readLine(input) : await askSecret('API key: ', terminal);
    if (!/^\S+$/.test(key)) throw new UsageError('the key is empty or has spaces in it');
    const connection = { url, key, tenant: values.text('tenant') };
    const caller = await new ApiClient(connection, signal).get<Whoami>('/v1/whoami');
    await saveConfig(configFile, connection);
    print.result(caller, (known) => `logged in to ${url} as ${nameOf(known)}`);
  },
};

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
