import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { freePort, ROOT } from './stack.js';

export const OIDC_SECRET = 'a secret of the console';

/** A real OpenID Connect provider in a process of its own. */
export class OidcProvider {
  private constructor(
    readonly issuer: string,
    private readonly child: ChildProcess,
  ) {}

  /** `consoleUrl`: where the console will be; `claims`: of each person who may sign in, by name. */
  static async start(consoleUrl: string, claims: Record<string, object>): Promise<OidcProvider> {
    const port = await freePort();
    const options = {
      port,
      redirectUri: `${consoleUrl}/v1/session/oidc/callback`,
      endUri: `${consoleUrl}/console/sign-in`,
      claims,
    };
    const program = join(ROOT, 'test/support/oidc-provider.mjs');
    const child = spawn(process.execPath, [program, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    await once(child.stdout, 'data');
    return new OidcProvider(`http://127.0.0.1:${port}`, child);
  }

  /** Settings of an API whose people this provider knows. */
  get settings() {
    return { OIDC_ISSUER: this.issuer, OIDC_CLIENT_SECRET: OIDC_SECRET, OIDC_NAME: 'Example ID' };
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}

/** A browser as far as redirects and cookies go. */
export class CookieJar {
  readonly #cookies = new Map<string, { value: string; host: string; path: string }>();

  /** One request; cookies that the answer sets are kept. */
  async send(url: string, init: RequestInit = {}): Promise<Response> {
    const { host, pathname } = new URL(url);
    const cookie = [...this.#cookies]
      .filter(([, each]) => each.host === host && pathname.startsWith(each.path))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ');
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      headers: { ...(init.headers as Record<string, string>), cookie },
    });
    for (const set of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = set.split('; ');
      const name = pair.slice(0, pair.indexOf('='));
      const value = pair.slice(name.length + 1);
      const path = attributes.find((each) => /^path=/i.test(each))?.slice(5) ?? '/';
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, { value, host, path });
    }
    return response;
  }

  get(name: string): string | undefined {
    return this.#cookies.get(name)?.value;
  }

  set(name: string, value: string): void {
    const known = this.#cookies.get(name);
    if (known) known.value = value;
  }

  /** Follows redirects until `stop` says so, or an answer is none; returns the last URL. */
  async follow(url: string, stop: (url: string) => boolean): Promise<string> {
    let at = url;
    for (let hops = 0; hops < 10 && !stop(at); hops += 1) {
      const response = await this.send(at);
      const location = response.headers.get('location');
      if (location === null) return at;
      at = new URL(location, at).href;
    }
    return at;
  }
}
