import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

/** A disk of one megabyte; undefined where this user may not mount one. */
function smallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}

const disk = smallDisk();

describe.skipIf(disk === undefined)('an artifact store whose disk is full', () => {
  const folder = disk ?? '';
  let platform: Platform;
  let acme: Client;
  beforeAll(async () => {
    platform = await Platform.start({ env: { STORAGE_URL: pathToFileURL(folder).href } });
    acme = await platform.tenant('acme');
  });
  afterAll(async () => {
    await platform?.close();
    execFileSync('umount', [folder]);
    await rm(folder, { recursive: true });
  });

  const filler = join(folder, 'filler');
  /** Leaves less than the golden weights need. */
  async function fill(): Promise<void> {
    const full = writeFile(filler, new Uint8Array(2 ** 20 + 1));
    await expect(full).rejects.toMatchObject({ code: 'ENOSPC' });
  }
  const { [CONFIG]: config = new Uint8Array(), [WEIGHTS]: weights = new Uint8Array() } = goldenFiles('qv-r8');
  const upload = () =>
    acme.call<VersionResource>(
      'POST',
      '/v1/adapters/bot/versions?create=true&wait=60',
      formOf([
        [CONFIG, config],
        [WEIGHTS, weights],
      ]),
    );
  const patch = (path: string) =>
    fetch(acme.url + path, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${acme.key}`,
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
      },
      body: weights as BodyInit,
    });
  const versions = async (): Promise<number> =>
    (await platform.query<{ count: string }>('SELECT count(*) FROM adapter_versions')).map(({ count }) =>
      Number(count),
    )[0] ?? Number.NaN;

  it('answers an upload with 503, keeps nothing of it, and takes it when there is room again', async () => {
    await fill();
    const refused = await upload();
    expect(refused).toMatchObject({ status: 503, body: { error: { code: 'dependency_unavailable' } } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await versions()).toBe(0);
    expect(await readdir(join(folder, 'incoming'))).toEqual([]);
    await rm(filler);
    expect(await upload()).toMatchObject({ status: 201, body: { state: 'ready', version: 1 } });
  });

  it('answers the bytes of a resumable upload with 503, and goes on with it when there is room again', async () => {
    const made = await fetch(`${acme.url}/v1/uploads`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${acme.key}`,
        'tus-resumable': '1.0.0',
        'upload-length': String(weights.length),
      },
    });
    const path = made.headers.get('location') ?? '';
    await fill();
    const refused = await patch(path);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 'dependency_unavailable' } });
    await rm(filler);
    expect((await patch(path)).status).toBe(204);
  });
});
