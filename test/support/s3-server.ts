import { createRequire } from 'node:module';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

interface S3rver {
  run(): Promise<{ port: number }>;
  close(): Promise<void>;
}
type S3rverClass = new (options: object) => S3rver;

/** The key that s3rver knows. */
const KEY = 'S3RVER';

/** A real server of the S3 protocol on files of its own, with empty buckets. */
export class S3Server {
  private constructor(
    private readonly server: S3rver,
    private readonly folder: string,
    readonly port: number,
  ) {}

  static async start(...buckets: string[]): Promise<S3Server> {
    const S3rver = z.custom<S3rverClass>().parse(createRequire(import.meta.url)('s3rver'));
    const folder = await mkdtemp(join(tmpdir(), 'lorikeet-s3-'));
    const server = new S3rver({
      address: '127.0.0.1',
      port: 0,
      silent: true,
      directory: folder,
      configureBuckets: buckets.map((name) => ({ name, configs: [] })),
    });
    const { port } = await server.run();
    return new S3Server(server, folder, port);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get env() {
    return { S3_ENDPOINT: this.endpoint, S3_ACCESS_KEY_ID: KEY, S3_SECRET_ACCESS_KEY: KEY };
  }

  async close(): Promise<void> {
    await this.server.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
