import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY_MS = 100;
const QUEUE_MS = 10_000;

/** A load balancer as simple as they come: it sends to servers whose `/health/ready` is 200, in turn. */
export class Balancer {
  readonly #ready = new Set<string>();
  readonly #server: Server;
  readonly #timer: NodeJS.Timeout;
  #turn = 0;
  #looks = 0;
  /** The newest look that a target answered. */
  readonly #heard = new Map<string, number>();

  private constructor(private readonly targets: readonly string[]) {
    this.#server = createServer((from, to) => void this.#pass(from, to));
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
  }

  static async start(targets: readonly string[]): Promise<Balancer> {
    const balancer = new Balancer(targets);
    await new Promise<void>((resolve) => balancer.#server.listen(0, '127.0.0.1', resolve));
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async untilReady(targets: readonly string[]): Promise<void> {
    while (!targets.every((target) => this.#ready.has(target))) await sleep(LOOK_EVERY_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** A look may take longer than the next: what it says then is older, and not heard. */
  async #look(): Promise<void> {
    const look = ++this.#looks;
    await Promise.all(
      this.targets.map(async (target) => {
        const answer = await fetch(`${target}/health/ready`).catch(() => undefined);
        await answer?.body?.cancel();
        if (look < (this.#heard.get(target) ?? 0)) return;
        this.#heard.set(target, look);
        if (answer?.status === 200) this.#ready.add(target);
        else this.#ready.delete(target);
      }),
    );
  }

  /** As balancers do, it keeps a request for a while where no server is ready: on a busy machine both may be late to say so. */
  async #target(): Promise<string | undefined> {
    for (let waited_ms = 0; this.#ready.size === 0 && waited_ms < QUEUE_MS; waited_ms += LOOK_EVERY_MS)
      await sleep(LOOK_EVERY_MS);
    const ready = [...this.#ready];
    return ready[this.#turn++ % ready.length];
  }

  async #pass(from: IncomingMessage, to: ServerResponse): Promise<void> {
    const target = await this.#target();
    if (target === undefined) {
      to.writeHead(502).end('no server is ready');
      return;
    }
    const passed = request(
      target + (from.url ?? ''),
      { method: from.method, headers: { ...from.headers, connection: 'close' } },
      (answer) => {
        to.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(to);
        answer.once('error', () => to.destroy());
      },
    );
    passed.once('error', (error) => {
      if (to.headersSent) to.destroy();
      else to.writeHead(502).end(`the server could not be reached: ${error.message}`);
    });
    to.once('close', () => passed.destroy());
    from.pipe(passed);
  }
}
