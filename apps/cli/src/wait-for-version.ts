import { setTimeout as sleep } from 'node:timers/promises';
import type { VersionResource } from '#contracts/adapters-api.js';
import { type ApiClient, part } from './api-client.js';
import { CommandError } from './faults.js';
import type { Printer } from './printer.js';

const ASK_EVERY_MS = 500;

/** The version once it is ready; throws what is wrong with it when it is rejected. */
export async function waitForVersion(
  client: ApiClient,
  version: VersionResource,
  { print, signal }: { readonly print: Printer; readonly signal: AbortSignal },
): Promise<VersionResource> {
  const path = `/v1/adapters/${part(version.adapter)}/versions/${version.version}`;
  let state: string | undefined;
  for (let current = version; ; current = await client.get<VersionResource>(path)) {
    if (current.state === 'ready') {
      for (const { message } of current.report?.warnings ?? []) print.warn(message);
      return current;
    }
    if (current.state === 'rejected') throw new CommandError(rejection(current));
    if (current.state !== state) print.note(`${current.adapter}@${current.version} is ${current.state}`);
    state = current.state;
    await sleep(ASK_EVERY_MS, undefined, { signal });
  }
}

function rejection({ adapter, version, failure, report }: VersionResource): string {
  const reasons = report?.errors.map(({ message }) => `  ${message}`) ?? [];
  return [`${adapter}@${version} was rejected${failure ? `: ${failure}` : ''}`, ...reasons].join('\n');
}
