import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from './stack.js';

export interface Stage {
  readonly env: Record<string, string>;
  readonly user: string;
  readonly expose: string | undefined;
  readonly healthcheck: string | undefined;
  /** Of CMD or ENTRYPOINT. */
  readonly command: readonly string[];
}

/** The targets of deploy/Containerfile, each with what it has from the stage that it is built on. */
export function readContainerfile(): { readonly text: string; readonly stages: Record<string, Stage> } {
  const text = readFileSync(join(ROOT, 'deploy/Containerfile'), 'utf8');
  const stages: Record<string, Stage> = {};
  let name = '';
  const lines = text.replaceAll(/\\\n/g, ' ').split('\n');
  for (const line of lines) {
    const [word = '', ...rest] = line.trim().split(/\s+/);
    const value = rest.join(' ');
    const stage = stages[name];
    if (word === 'FROM') {
      name = rest.at(-1) ?? '';
      const from = stages[rest[0] ?? ''];
      stages[name] = { env: {}, user: '', expose: undefined, healthcheck: undefined, command: [], ...from };
    } else if (!stage) continue;
    else if (word === 'ENV') {
      const pairs = rest.map((pair) => pair.split('=') as [string, string]);
      stages[name] = { ...stage, env: { ...stage.env, ...Object.fromEntries(pairs) } };
    } else if (word === 'USER') stages[name] = { ...stage, user: value };
    else if (word === 'EXPOSE') stages[name] = { ...stage, expose: value };
    else if (word === 'HEALTHCHECK') stages[name] = { ...stage, healthcheck: value };
    else if (word === 'CMD' || word === 'ENTRYPOINT')
      stages[name] = { ...stage, command: JSON.parse(value) as string[] };
  }
  return { text, stages };
}

export interface ComposeService {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly environment?: Record<string, string>;
  readonly depends_on?: Record<string, unknown>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
}

export interface Compose {
  readonly services: Record<string, ComposeService>;
  readonly volumes: Record<string, unknown>;
}

export function readCompose(): Compose {
  const text = readFileSync(join(ROOT, 'deploy/compose.yaml'), 'utf8');
  const compose = parse(text, { merge: true }) as Compose;
  // `depends_on` may be a list.
  for (const service of Object.values(compose.services)) {
    const given = service.depends_on as unknown;
    if (Array.isArray(given))
      Object.assign(service, { depends_on: Object.fromEntries(given.map((name) => [name, {}])) });
  }
  return compose;
}

/** The script among a command's words. */
export function scriptOf(command: readonly string[]): string {
  return command.find((word) => word.endsWith('.js')) ?? '';
}

/** `${NAME}`, `${NAME:-default}` and `${NAME:?text}` as compose reads them. */
export function substitute(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(
    /\$\{([A-Z_]+)(?::([-?])([^}]*))?\}/g,
    (_, name: string, kind?: string, rest?: string) => {
      const value = env[name];
      if (value !== undefined && value !== '') return value;
      if (kind === '-') return rest ?? '';
      throw new Error(`${name}: ${rest ?? 'is not set'}`);
    },
  );
}
