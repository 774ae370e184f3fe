import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type EngineProcess, startEngine } from '../../apps/engine/src/engine-process.js';
import { engineSettings } from '../../apps/engine/src/settings.js';
import { parseSettings } from '../../libs/runtime/src/settings.js';
import { loadGolden } from './golden.js';

export interface GoldenEngine {
  readonly url: string;
  readonly token: string;
  readonly storageUrl: string;
  readonly process: EngineProcess;
  close(): Promise<void>;
}

/** The engine with the model of a golden case, as its process runs it. */
export async function startGoldenEngine(
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<GoldenEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-golden-engine-'));
  const token = 'a-token-of-the-golden-engine';
  const storageUrl = pathToFileURL(join(folder, 'blobs')).href;
  const process = await startEngine(
    parseSettings(engineSettings, {
      MODEL_PATH: loadGolden(name).modelPath,
      MODEL_NAME: 'golden',
      ENGINE_PORT: '0',
      ENGINE_TOKEN: token,
      STORAGE_URL: storageUrl,
      DATA_DIR: folder,
      LOG_LEVEL: 'error',
      THREADS: '1',
      ...env,
    }),
  );
  const { port } = process.app.getHttpServer().address() as AddressInfo;
  await process.loaded;
  const close = async () => {
    for (const closable of process.closables) await closable.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${port}`, token, storageUrl, process, close };
}
