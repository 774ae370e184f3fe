import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Setting } from '#runtime/settings.js';
import { apiSettings } from '../../apps/api/src/settings.js';
import { backupSettings } from '../../apps/backup/src/settings.js';
import { engineSettings } from '../../apps/engine/src/settings.js';
import { workerSettings } from '../../apps/worker/src/settings.js';
import { readCompose, readContainerfile, scriptOf } from '../support/deploy-files.js';
import { ROOT } from '../support/stack.js';

const deploy = (path: string) => readFileSync(join(ROOT, 'deploy', path), 'utf8');
const namesOf = (settings: Record<string, Setting<unknown>>) =>
  Object.values(settings).map(({ name }) => name);
const SETTINGS: Record<string, Record<string, Setting<unknown>>> = {
  api: apiSettings,
  worker: workerSettings,
  engine: engineSettings,
  migrate: backupSettings,
  backup: backupSettings,
};
/** Those without which a process ends at once. */
const required = (settings: Record<string, Setting<unknown>>) =>
  Object.values(settings)
    .filter(({ schema }) => !schema.safeParse(undefined).success)
    .map(({ name }) => name);

describe('the container file', () => {
  const { stages, text } = readContainerfile();

  it('has a target per process that runs as a user without rights and starts what there is', () => {
    for (const [name, stage] of Object.entries(stages)) {
      if (!(name in SETTINGS)) continue;
      expect(stage.user, name).toMatch(/^[1-9]\d*:[1-9]\d*$/);
      const script = scriptOf(stage.command);
      expect(existsSync(join(ROOT, script.replace(/^dist\//, '').replace(/\.js$/, '.ts'))), script).toBe(
        true,
      );
      const known = new Set([...namesOf(SETTINGS[name] ?? {}), 'NODE_ENV', 'DATA_DIR']);
      for (const variable of Object.keys(stage.env))
        expect(known, `${name}: ${variable}`).toContain(variable);
    }
    expect(Object.keys(stages)).toEqual(expect.arrayContaining(Object.keys(SETTINGS)));
  });

  it('exposes the port on which each process listens, and asks its own health', () => {
    for (const [name, port] of Object.entries({
      api: 'PORT',
      worker: 'WORKER_PORT',
      engine: 'ENGINE_PORT',
    })) {
      const stage = stages[name];
      expect(stage?.env[port]).toBe(stage?.expose);
      expect(stage?.healthcheck).toContain(`127.0.0.1:${stage?.expose}/health/`);
    }
  });

  it('keeps to the rules of small and repeatable images', () => {
    expect(text).not.toMatch(/:latest|^ADD |sudo|apt-get upgrade/m);
    for (const install of text.replaceAll('\\\n', ' ').match(/^RUN .*apt-get install.*$/gm) ?? []) {
      expect(install).toContain('--no-install-recommends');
      expect(install).toContain('rm -rf /var/lib/apt/lists');
    }
    for (const from of text.match(/^FROM .*$/gm) ?? [])
      expect(from).toMatch(/^FROM (\$\{NODE_IMAGE\}|\w+) AS \w+$/);
    expect(text).toMatch(/^ARG NODE_IMAGE=.+:[\w.-]+$/m);
  });

  it('sends no local state into the build', () => {
    const ignored = deploy('Containerfile.dockerignore').split('\n');
    for (const path of ['node_modules', 'dist', 'build', 'data', '.git']) expect(ignored).toContain(path);
    for (const path of ['models', 'native', 'scripts', 'apps', 'libs', 'migrations'])
      expect(ignored).not.toContain(path);
  });
});

describe('the compose file', () => {
  const compose = readCompose();
  const { stages } = readContainerfile();

  it('names only what it defines', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      for (const other of Object.keys(service.depends_on ?? {}))
        expect(compose.services, name).toHaveProperty(other);
      for (const mount of service.volumes ?? []) {
        const [source = ''] = mount.split(':');
        if (/^\w+$/.test(source)) expect(Object.keys(compose.volumes), `${name}: ${mount}`).toContain(source);
        if (source.startsWith('./')) expect(existsSync(join(ROOT, 'deploy', source)), mount).toBe(true);
      }
      if (service.build) {
        expect(existsSync(join(ROOT, service.build.dockerfile))).toBe(true);
        expect(Object.keys(stages)).toContain(service.build.target);
      } else expect(service.image, name).toMatch(/:v?[\d.]+$/);
    }
  });

  it('gives each process every setting that it needs, and none that it does not know', () => {
    for (const name of ['api', 'worker', 'engine', 'migrate']) {
      const settings = SETTINGS[name] ?? {};
      const env = { ...stages[name]?.env, ...compose.services[name]?.environment };
      const needs = name === 'migrate' ? ['DATABASE_URL'] : required(settings);
      for (const variable of needs) expect(Object.keys(env), name).toContain(variable);
      const known = new Set([...namesOf(settings), 'NODE_ENV', 'DATA_DIR']);
      for (const variable of Object.keys(env)) expect(known, `${name}: ${variable}`).toContain(variable);
    }
    // The engine knows no tenants, so it gets no way to them.
    for (const variable of ['DATABASE_URL', 'REDIS_URL', 'SECRETS_KEY', 'ADMIN_API_KEY'])
      expect(compose.services.engine?.environment).not.toHaveProperty(variable);
  });

  it('takes secrets from a file that the example lists in full, and opens only the proxy', () => {
    const wanted = new Set(
      [...deploy('compose.yaml').matchAll(/(?<!\$)\$\{([A-Z_]+)(:?[-?][^}]*)?\}/g)].map(([, name]) => name),
    );
    const listed = [...deploy('.env.example').matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual([...wanted].sort());
    const open = Object.entries(compose.services).filter(([, { ports }]) =>
      ports?.some((port) => !port.startsWith('127.')),
    );
    expect(open.map(([name]) => name)).toEqual(['proxy']);
    for (const name of ['api', 'worker', 'engine', 'migrate']) {
      expect(compose.services[name]).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        logging: { options: { 'max-size': '16m' } },
      });
    }
  });
});

describe('the systemd units', () => {
  const folder = join(ROOT, 'deploy/systemd');
  const units = readdirSync(folder).filter((name) => name.endsWith('.service'));

  it('start what there is, with files of settings that know every name', () => {
    expect(units).toEqual([
      'lorikeet-api.service',
      'lorikeet-engine@.service',
      'lorikeet-migrate.service',
      'lorikeet-worker.service',
    ]);
    for (const unit of units) {
      const text = readFileSync(join(folder, unit), 'utf8');
      const script = scriptOf(/^ExecStart=(.*)$/m.exec(text)?.[1]?.split(' ') ?? []);
      expect(existsSync(join(ROOT, script.replace(/^dist\//, '').replace(/\.js$/, '.ts'))), unit).toBe(true);
      expect(text).toMatch(/^User=lorikeet$/m);
      const process = /lorikeet-(\w+)/.exec(unit)?.[1] ?? '';
      const files = [...text.matchAll(/^EnvironmentFile=\/etc\/lorikeet\/(.*)\.env$/gm)].map(([, name]) =>
        name?.replace('%i', '0'),
      );
      const lines = files.flatMap((name) => [
        ...deploy(`systemd/${name}.env.example`).matchAll(/^([A-Z_]+)=/gm),
      ]);
      const given = new Set([
        ...lines.map(([, name]) => name as string),
        ...(/^Environment=(.*)$/m.exec(text)?.[1] ?? '')
          .split(' ')
          .map((pair) => pair.split('=')[0] as string),
      ]);
      const needs = process === 'migrate' ? ['DATABASE_URL'] : required(SETTINGS[process] ?? {});
      for (const variable of needs) expect(given, unit).toContain(variable);
      if (process === 'engine') expect(given).not.toContain('DATABASE_URL');
    }
    const every = new Set(Object.values(SETTINGS).flatMap(namesOf));
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.example')))
      for (const [, variable] of deploy(`systemd/${name}`).matchAll(/^([A-Z_]+)=/gm))
        expect(every, name).toContain(variable);
  });

  it('let a process end in order', () => {
    for (const unit of units.filter((name) => !name.includes('migrate')))
      expect(readFileSync(join(folder, unit), 'utf8')).toMatch(
        /^Restart=always\n[\s\S]*^TimeoutStopSec=60$/m,
      );
  });
});

describe('the proxies', () => {
  it('hold no token back, limit no upload, and hide the metrics', () => {
    const nginx = deploy('proxy/nginx.conf');
    for (const line of [
      'proxy_buffering off;',
      'proxy_request_buffering off;',
      'client_max_body_size 0;',
      'X-Forwarded-For $remote_addr',
    ])
      expect(nginx).toContain(line);
    expect(nginx).toMatch(/location = \/metrics \{\s+return 404;/);
    expect(nginx.match(/\{/g)?.length).toBe(nginx.match(/\}/g)?.length);
    const caddy = deploy('proxy/Caddyfile');
    expect(caddy).toContain('flush_interval -1');
    expect(caddy).toContain('respond /metrics 404');
  });
});
