import { setTimeout as sleep } from 'node:timers/promises';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { Client } from './client.js';

/** Asks for a version until it is as wanted. */
export async function untilVersion(
  client: Client,
  adapter: string,
  { version = 1, is }: { version?: number; is: (version: VersionResource) => boolean },
): Promise<VersionResource> {
  const deadline = Date.now() + 90_000;
  for (;;) {
    const found = await client.expect<VersionResource>(
      200,
      'GET',
      `/v1/adapters/${adapter}/versions/${version}`,
    );
    if (is(found)) return found;
    if (Date.now() > deadline) throw new Error(`not in time: ${JSON.stringify(found)}`);
    await sleep(20);
  }
}

/** A safetensors file's bytes with room behind them, so that fetching it takes a while; it will be rejected. */
export function padded(bytes: Uint8Array, toBytes: number): Uint8Array {
  const made = new Uint8Array(toBytes);
  made.set(bytes);
  return made;
}
