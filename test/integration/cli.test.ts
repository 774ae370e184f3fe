import { cp, mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lorikeet } from '../support/cli.js';
import { goldenFolder } from '../support/golden-base.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

const FOLDER = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');
const USAGE = { promptTokens: 3, cachedTokens: 0, completionTokens: 2 };
const TIMING = { queue_ms: 0, ttft_ms: 1, total_ms: 2 };

let platform: Platform;
let home: string;
let asAcme: Readonly<Record<string, string>>;
let asOperator: Readonly<Record<string, string>>;

beforeAll(async () => {
  platform = await Platform.start();
  platform.engine.script = (generation) => {
    generation.send(
      { type: 'start', promptTokens: 3 },
      { type: 'tokens', text: 'Hello', ids: [1] },
      { type: 'tokens', text: ' there', ids: [2] },
      { type: 'finish', reason: 'length', stopReason: null, text: '', usage: USAGE, timing: TIMING },
    );
    generation.end();
  };
  home = await mkdtemp(join(tmpdir(), 'lorikeet-cli-'));
  const { key } = await platform.tenant('acme');
  asAcme = { LORIKEET_URL: platform.url, LORIKEET_API_KEY: key };
  asOperator = { LORIKEET_URL: platform.url, LORIKEET_API_KEY: ADMIN_KEY };
}, 120_000);

afterAll(async () => {
  await platform?.close();
  await rm(home, { recursive: true, force: true });
});

/** The output of a command that must succeed. */
async function run(line: string, env = asAcme, input = ''): Promise<string> {
  const { code, out, err } = await lorikeet(line.split(' '), { env, input });
  if (code !== 0) throw new Error(`lorikeet ${line}: exit code ${code}\n${err}`);
  return out;
}

async function json<T = Record<string, unknown>>(line: string, env = asAcme): Promise<T> {
  return JSON.parse(await run(`${line} --json`, env)) as T;
}

describe('lorikeet login', () => {
  const env = () => ({ XDG_CONFIG_HOME: home });

  it('keeps a key that is valid in a file that only its owner can read, and uses it', async () => {
    const key = asAcme.LORIKEET_API_KEY ?? '';
    expect(await run(`login --url ${platform.url} --key-stdin`, env(), `${key}\n`)).toContain('tenant acme');
    const file = join(home, 'lorikeet/config.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ url: platform.url, key });
    expect(await run('whoami', env())).toMatch(/tenant +acme/);
    // The environment wins.
    expect(await json('whoami', { ...env(), ...asOperator })).toMatchObject({ operator: true });
  });

  it('sends a saved key to the saved server alone', async () => {
    const elsewhere = await lorikeet(['whoami', '--url', 'http://127.0.0.1:9'], { env: env() });
    expect(elsewhere).toMatchObject({ code: 1, err: expect.stringContaining('no key is known') as string });
  });

  it('saves no key that the server refuses', async () => {
    const other = { XDG_CONFIG_HOME: join(home, 'other') };
    const words = ['login', '--url', platform.url, '--key-stdin'];
    expect(await lorikeet(words, { env: other, input: 'lk_wrong' })).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('invalid_api_key') as string,
    });
    await expect(stat(join(home, 'other/lorikeet/config.json'))).rejects.toThrow('ENOENT');
  });

  it('forgets it again', async () => {
    await run('logout', env());
    expect(await lorikeet(['whoami'], { env: env() })).toMatchObject({
      code: 1,
      err: expect.stringContaining('lorikeet login') as string,
    });
  });
});

describe('lorikeet adapters', () => {
  it('pushes, promotes, rolls back, lists and pulls the same bytes', async () => {
    const pushed = await run(`adapters push ${FOLDER} --adapter bot --label team=a --wait`);
    expect(pushed).toMatch(/^bot@1 is ready\ndigest [0-9a-f]{64}\n$/);
    expect(await json(`adapters push ${FOLDER} --adapter bot --wait`)).toMatchObject({
      version: 2,
      state: 'ready',
    });
    expect(await run('adapters promote bot@1')).toContain('bot:production points at @1 (revision 1)');
    expect(await run('adapters promote bot@2 --alias production')).toContain('points at @2');
    expect(await run('adapters rollback bot')).toContain('points at @1');
    expect(await run('adapters aliases bot')).toMatch(/latest +@2[^]*production +@1/);
    expect(await run('adapters list')).toMatch(/^NAME +BASE MODEL[^]*\nbot /);
    expect(await run('adapters versions bot')).toMatch(/2 +ready[^]*1 +ready/);
    expect(await run('adapters show bot@1')).toMatch(/labels +\{"team":"a"\}/);

    const target = join(home, 'pulled');
    await run(`adapters pull bot@1 ${target}`);
    for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
      expect(await readFile(join(target, name))).toEqual(await readFile(join(FOLDER, name)));
    }
  });

  it('replaces nothing and resumes nothing unless it is told to', async () => {
    const target = join(home, 'pulled');
    const weights = join(target, 'adapter_model.safetensors');
    expect(await lorikeet(['adapters', 'pull', 'bot@1', target], { env: asAcme })).toMatchObject({
      code: 1,
      err: expect.stringContaining('--force') as string,
    });
    const bytes = await readFile(weights);
    await cp(weights, `${weights}.part`);
    await truncate(`${weights}.part`, 1000);
    await rm(weights);
    await rm(join(target, 'adapter_config.json'));
    await run(`adapters pull bot@1 ${target} --resume`);
    expect(await readFile(weights)).toEqual(bytes);
    // What was left behind is something else: it is not taken for a beginning.
    await writeFile(`${weights}.part`, Buffer.alloc(1000, 7));
    const wrong = await lorikeet(['adapters', 'pull', 'bot@1', target, '--resume', '--force'], {
      env: asAcme,
    });
    expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining('SHA-256') as string });
    expect(await readFile(weights)).toEqual(bytes);
  });

  it('tells why a version was rejected, with exit code 1', async () => {
    const broken = join(home, 'broken');
    await cp(FOLDER, broken, { recursive: true });
    await writeFile(join(broken, 'adapter_config.json'), '{"peft_type": "LORA", "surprise": 1}');
    const { code, out, err } = await lorikeet(['adapters', 'push', broken, '--wait'], { env: asAcme });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/broken@1 was rejected\n {2}.*surprise/);
    expect(err).not.toMatch(/\n\s+at /);
  });

  it('sends what stands beside an adapter, and names what it leaves out', async () => {
    const folder = join(home, 'trained');
    await cp(FOLDER, folder, { recursive: true });
    const template = "{% for m in messages %}{{ m['content'] }}{% endfor %}";
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ chat_template: template }));
    await writeFile(join(folder, 'generation_config.json'), '{"eos_token_id": 5}');
    await writeFile(join(folder, 'optimizer.pt'), 'x');
    await mkdir(join(folder, 'checkpoint-10'));
    const { code, err } = await lorikeet(['adapters', 'push', folder, '--wait'], { env: asAcme });
    expect(code).toBe(0);
    expect(err).toContain('left out: checkpoint-10/, optimizer.pt');
    const files = await platform.query<{ name: string }>(
      `SELECT file.name FROM version_files file JOIN adapter_versions version ON version.id = file.version_id
       JOIN adapters adapter ON adapter.id = version.adapter_id WHERE adapter.name = 'trained' ORDER BY file.name`,
    );
    expect(files.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'tokenizer_config.json',
        'generation_config.json',
        'chat_template.extracted.jinja',
      ]),
    );
  });

  it('deletes a version and an adapter', async () => {
    expect(await lorikeet(['adapters', 'delete', 'bot'], { env: asAcme })).toMatchObject({
      code: 1,
      err: expect.stringContaining('--yes') as string,
    });
    expect(await lorikeet(['adapters', 'delete', 'bot', '--yes'], { env: asAcme })).toMatchObject({
      code: 1,
      err: expect.stringContaining('--force') as string,
    });
    expect(await run('adapters delete bot@2 --yes')).toBe('deleted bot@2\n');
    expect(await run('adapters delete bot --force --yes')).toBe('deleted bot\n');
    expect(await lorikeet(['adapters', 'show', 'bot'], { env: asAcme })).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(
        /^lorikeet: There is no such adapter\. \(not_found, request [\w-]+\)\n$/,
      ) as string,
    });
  });
});

describe('lorikeet for who runs the machine', () => {
  it('logs in with what npm start left in its data folder', async () => {
    const data = join(home, 'data');
    await mkdir(data);
    await writeFile(join(data, 'running'), `process 1, ${platform.url}\n`);
    await writeFile(join(data, 'admin-key'), `${ADMIN_KEY}\n`);
    const env = { XDG_CONFIG_HOME: join(home, 'local') };
    expect(await run(`login --local --data-dir ${data} --tenant acme`, env)).toContain('operator');
    expect(await run('whoami', env)).toMatch(/tenant +acme/);
    const nowhere = await lorikeet(['login', '--local', '--data-dir', home], { env });
    expect(nowhere).toMatchObject({ code: 1, err: expect.stringContaining('--data-dir') as string });
  });
});

describe('lorikeet and aliases, shares, hooks and endpoints', () => {
  beforeAll(async () => {
    for (let i = 0; i < 2; i += 1) await run(`adapters push ${FOLDER} --adapter canary --wait`);
    await platform.tenant('friend');
  });

  it('splits an alias by weight, shadows and guards a change, and tells how the shadow compares', async () => {
    expect(await run('adapters split canary --to 1=90 --to 2=10')).toContain('@1 90.0 %, @2 10.0 %');
    expect(await run('adapters promote canary@1 --shadow 2=0.5')).toContain('50 % of its requests');
    expect(await run('adapters shadow canary')).toMatch(/requests +0 compared/);
    expect(await run('adapters promote canary@2 --max-error-rate 0.1 --watch 60')).toContain(
      'goes back by itself',
    );
    expect(await lorikeet(['adapters', 'split', 'canary', '--to', '1:90'], { env: asAcme })).toMatchObject({
      code: 2,
    });
    expect(await run('adapters unalias canary production --yes')).toContain('deleted canary:production');
    expect(await run('adapters lineage canary@2')).toMatch(/canary@2 +self/);
  });

  it('protects an alias, shows what waits, and approves with a second key', async () => {
    await run('adapters promote canary@1 --alias guarded');
    expect(await run('adapters protect canary --alias guarded')).toContain('canary:guarded is protected');
    expect(await run('adapters promote canary@2 --alias guarded')).toContain('waits until another key');
    const { data } = await json<{ data: { id: string }[] }>('adapters changes canary');
    const id = data[0]?.id ?? '';
    expect(await run('adapters changes')).toMatch(new RegExp(`${id} +canary:guarded +set @2 +pending`));
    expect(await lorikeet(['adapters', 'approve', id], { env: asAcme })).toMatchObject({
      code: 1,
      err: expect.stringContaining('insufficient_scope') as string,
    });
    const second = { ...asOperator, LORIKEET_TENANT: 'acme' };
    const approved = await run(`adapters approve ${id} --reason evaluated`, second);
    expect(approved).toContain('canary:guarded points at @2');
    expect(await run('adapters changes')).toBe('(none)\n');
    expect(await run('adapters changes --all')).toMatch(new RegExp(`${id} .*approved`));

    const own = await json<{ id: string }>('adapters rollback canary --alias guarded');
    expect(await run(`adapters decline ${own.id}`)).toContain('stays: the change is declined');
    const emergency = [
      'adapters',
      'rollback',
      'canary',
      '--alias',
      'guarded',
      '--emergency',
      'wrong language',
    ];
    const { out } = await lorikeet(emergency, { env: asAcme });
    expect(out).toContain('points at @1');
    expect(await run('adapters unprotect canary --alias guarded')).toContain('waits until another key');
    expect(await run('adapters unprotect canary --alias guarded', second)).toContain('no longer protected');
  });

  it('shares an adapter and takes it back', async () => {
    expect(await run('shares add canary friend')).toContain('friend may call acme/canary');
    expect(await run('shares add canary everyone')).toContain('everyone may call');
    expect(await run('shares list canary')).toMatch(/everyone[^]*friend/);
    expect(await run('shares remove canary everyone --yes')).toContain('may no longer');
  });

  it('makes hooks and endpoints whose secret stands alone on standard output', async () => {
    const secret = await run('hooks create training --adapter canary --promote staging');
    expect(secret).toMatch(/^whsec_\S+\n$/);
    expect(await run('hooks')).toMatch(/training +canary +staging/);
    const { data } = await json<{ data: { id: string }[] }>('hooks list');
    expect(await run(`hooks deliveries ${data[0]?.id}`)).toBe('(none)\n');
    expect(await run(`hooks rotate ${data[0]?.id} --overlap 0`)).toMatch(/^whsec_/);
    expect(await run(`hooks delete ${data[0]?.id} --yes`)).toContain('deleted');

    expect(await run('endpoints create https://example.com/in --event adapter.version.ready')).toMatch(
      /^whsec_/,
    );
    const { data: made } = await json<{ data: { id: string }[] }>('endpoints list');
    expect(await run(`endpoints disable ${made[0]?.id}`)).toMatch(/enabled +false/);
    expect(await run(`endpoints deliveries ${made[0]?.id} --state failed`)).toBe('(none)\n');
    expect(await run(`endpoints delete ${made[0]?.id} --yes`)).toContain('deleted');
  });
});

describe('lorikeet on a mistake', () => {
  it.each([
    [['adpaters', 'list'], 'did you mean "adapters list"'],
    [['push', 'x'], 'did you mean "adapters push"'],
    [['models', '--jsn'], 'did you mean --json'],
  ])('%j: %s', async (words, hint) => {
    expect(await lorikeet(words, { env: asAcme })).toMatchObject({
      code: 2,
      err: expect.stringContaining(hint) as string,
    });
  });

  it('says what to type next', async () => {
    const bad = { ...asAcme, LORIKEET_API_KEY: 'lk_wrong' };
    expect(await lorikeet(['models'], { env: bad })).toMatchObject({
      code: 1,
      err: expect.stringContaining('lorikeet login') as string,
    });
    expect(await lorikeet(['adapters', 'list'], { env: asOperator })).toMatchObject({
      code: 1,
      err: expect.stringContaining('--tenant') as string,
    });
  });

  it('is coloured only where that is wanted', async () => {
    const escape = '\u001b[';
    expect(await run('shares list canary', { ...asAcme, FORCE_COLOR: '1' })).toContain(escape);
    expect(await run('shares list canary', { ...asAcme, FORCE_COLOR: '1', NO_COLOR: '1' })).not.toContain(
      escape,
    );
    expect(await run('shares list canary')).not.toContain(escape);
  });
});

describe('lorikeet for operators', () => {
  it('creates, limits and suspends tenants, and makes, rotates and revokes their keys', async () => {
    await run('tenants create umbrella', asOperator);
    expect(await run('tenants quotas umbrella --adapters 3 --stored-bytes none', asOperator)).toMatch(
      /adapters +3\n/,
    );
    const key = (await run('keys create ci --scopes adapters --tenant umbrella', asOperator)).trim();
    expect(key).toMatch(/^lk_/);
    const asUmbrella = { ...asAcme, LORIKEET_API_KEY: key };
    expect(await run('adapters list', asUmbrella)).toBe('(none)\n');
    const { data } = await json<{ data: { id: string }[] }>('keys list --tenant umbrella', asOperator);
    const rotated = (await run(`keys rotate ${data[0]?.id} --tenant umbrella`, asOperator)).trim();
    expect(await run('whoami', { ...asAcme, LORIKEET_API_KEY: rotated })).toContain('umbrella');
    await run('tenants suspend umbrella', asOperator);
    await run('tenants resume umbrella', asOperator);
    await run(`keys revoke ${data[0]?.id} --tenant umbrella --yes`, asOperator);
    expect(
      await lorikeet(['adapters', 'list'], { env: { ...asAcme, LORIKEET_API_KEY: rotated } }),
    ).toMatchObject({ code: 1 });
  });

  it('shows engines, jobs, the audit log and the whole, and sets maintenance', async () => {
    expect(await run('engines', asOperator)).toMatch(/fake-0 +ready/);
    expect(await run('engines drain fake-0', asOperator)).toContain('is draining');
    expect(await run('engines undrain fake-0', asOperator)).toContain('is ready');
    expect(await run('engines show fake-0', asOperator)).toMatch(/state +ready/);
    expect(await run('jobs', asOperator)).toMatch(/ingest-adapter +0/);
    expect(await run('jobs list ingest-adapter --state completed', asOperator)).toMatch(
      /completed +validating/,
    );
    expect(await run('audit --action tenant.* --of umbrella', asOperator)).toMatch(
      /operator +tenant\.update/,
    );
    expect(await run('status', asOperator)).toMatch(/engines +1 of 1 ready/);
    expect(await run('maintenance on --message Soon. --retry-after 5', asOperator)).toContain('"Soon."');
    expect(await lorikeet(['adapters', 'create', 'x'], { env: asAcme })).toMatchObject({
      code: 1,
      err: expect.stringContaining('Soon. (maintenance') as string,
    });
    expect(await run('maintenance off', asOperator)).toBe('no maintenance\n');
  });

  it('may do what a tenant may, for the tenant that is named', async () => {
    const without = await lorikeet(['adapters', 'list'], { env: asOperator });
    expect(without).toMatchObject({ code: 1, err: expect.stringContaining('--tenant') as string });
    expect(await run('adapters list --tenant acme', asOperator)).toContain('broken');
  });
});

describe('lorikeet and the models', () => {
  it('streams an answer, to a question from the command line or from a pipe', async () => {
    expect(await run('chat llama-gqa Hi')).toBe('Hello there\n');
    expect(await run('chat llama-gqa', asAcme, 'Hi')).toBe('Hello there\n');
    expect(await json('chat llama-gqa Hi')).toMatchObject({ object: 'chat.completion' });
    expect(await run('models')).toContain('llama-gqa');
  });

  it('measures a load of its own, and meters it', async () => {
    expect(await json('bench llama-gqa --requests 6 --concurrency 2 --max-tokens 2')).toMatchObject({
      requests: 6,
      errors: 0,
      completion_tokens: 12,
      ttft_ms: { p50: expect.any(Number) as number },
      tpot_ms: { p99: expect.any(Number) as number },
    });
    const failed = await lorikeet(['bench', 'nothing', '--requests', '2'], { env: asAcme });
    expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('2 failed: ') as string });
    expect(await run('usage')).toMatch(/^REQUESTS +ERRORS/);
    expect(await run('usage --by day --csv')).toMatch(/^day,requests,/);
  });
});

describe('lorikeet', () => {
  it('answers a wrong command line with exit code 2, and an unreachable server with 1', async () => {
    for (const words of [
      ['nothing'],
      ['adapters', 'push'],
      ['adapters', 'promote', 'bot'],
      ['usage', '--what'],
    ]) {
      expect(await lorikeet(words, { env: asAcme })).toMatchObject({ code: 2, out: '' });
    }
    const away = { ...asAcme, LORIKEET_URL: 'http://127.0.0.1:9' };
    const { code, err } = await lorikeet(['adapters', 'list'], { env: away });
    expect(code).toBe(1);
    expect(err).toMatch(/^lorikeet: http:\/\/127\.0\.0\.1:9 cannot be reached: .+\n$/);
  });
});
