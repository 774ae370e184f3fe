import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type Validation, validateAdapter } from '#adapters/intake/validate-adapter.js';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { Parity } from '#contracts/parity.js';
import { parseSettings } from '#runtime/settings.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import type { BlobInfo } from '#stores/blobs/blob-store.js';
import {
  inspectModel as inspectNative,
  openModel as openNative,
  probeCuda,
} from '../../libs/native-engine/src/load.js';
import type { NativeModel } from '../../libs/native-engine/src/native.js';
import {
  InferenceEngine,
  type InferenceEngineOptions,
} from '../../libs/serving/src/loop/inference-engine.js';
import { openModel, type OpenedModel } from '../../libs/serving/src/model-opening.js';
import { ParityCheck } from '../../libs/serving/src/parity/parity-check.js';
import { generateRequest } from './generate-request.js';
import { servingSettings } from '../../libs/serving/src/settings.js';

export interface ParityFixtureOptions {
  readonly modelPath: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Stands between the engine and the native model that serves, to break it. */
  readonly wrap?: (native: NativeModel) => NativeModel;
  readonly draftPolicy?: InferenceEngineOptions['draftPolicy'];
  readonly textPolicy?: InferenceEngineOptions['textPolicy'];
}

type Accepted = Extract<Validation, { verdict: 'accepted' }>;

/** A real engine over a blob store of its own, and the parity check on it. */
export class ParityFixture {
  private constructor(
    private readonly folder: string,
    private readonly blobs: FileBlobStore,
    private readonly model: OpenedModel,
    readonly engine: InferenceEngine,
    readonly check: ParityCheck,
    private readonly registry: Registry,
  ) {}

  static async open({
    modelPath,
    env = {},
    wrap = (native) => native,
    draftPolicy,
    textPolicy,
  }: ParityFixtureOptions): Promise<ParityFixture> {
    const folder = mkdtempSync(join(tmpdir(), 'lorikeet-parity-'));
    const blobs = await FileBlobStore.open(folder);
    const settings = parseSettings(servingSettings, {
      MODEL_PATH: modelPath,
      KV_CACHE_BYTES: '16M',
      THREADS: '2',
      ...env,
    });
    const model = await openModel({
      settings,
      inspectNative,
      openNative: async (options) => wrap(await openNative(options)),
      probeCuda,
      digestCachePath: undefined,
    });
    const registry = new Registry();
    const engine = new InferenceEngine({
      model,
      settings,
      blobs,
      registry,
      logger: pino({ level: 'silent' }),
      ...(draftPolicy ? { draftPolicy } : {}),
      ...(textPolicy ? { textPolicy } : {}),
    });
    const check = new ParityCheck({ engine, model, settings, openNative, blobs, registry });
    return new ParityFixture(folder, blobs, model, engine, check, registry);
  }

  /** As the worker validates an upload. */
  async validate(adapterFolder: string): Promise<Accepted> {
    const files = new Map<string, BlobInfo>();
    for (const name of readdirSync(adapterFolder)) {
      files.set(name, await this.#put(await readFile(join(adapterFolder, name))));
    }
    const signal = new AbortController().signal;
    const validation = await validateAdapter({
      leftOut: [],
      mustMatchBase: false,
      files,
      base: this.model.base,
      blobs: this.blobs,
      signal,
    });
    if (validation.verdict === 'accepted') return validation;
    throw new Error(`${adapterFolder}: ${JSON.stringify(validation.report.errors)}`);
  }

  /** `corrupt` changes what is served; the dense reading stays. */
  async compare(
    adapterFolder: string,
    corrupt: (manifest: AdapterManifest) => AdapterManifest = (manifest) => manifest,
  ): Promise<Parity> {
    const { manifest, parity } = await this.validate(adapterFolder);
    const { sha256 } = await this.#put(Buffer.from(JSON.stringify(corrupt(manifest))));
    return this.check.run({ adapter: sha256, ...parity }, new AbortController().signal);
  }

  /** Makes an adapter callable; says its digest. */
  async serve(adapterFolder: string): Promise<string> {
    const { manifest } = await this.validate(adapterFolder);
    const { sha256 } = await this.#put(Buffer.from(JSON.stringify(manifest)));
    return sha256;
  }

  /** What the base generates for a fixed prompt, as a tenant's request. */
  async greedy(tokens: number): Promise<number[]> {
    const request = generateRequest(
      { kind: 'tokens', tokens: [5, 6, 7, 8] },
      { maxTokens: tokens, ignoreEos: true },
    );
    const ids: number[] = [];
    for await (const event of await this.engine.generate(request, new AbortController().signal)) {
      if (event.type === 'tokens') ids.push(...event.ids);
    }
    return ids;
  }

  /** Sum of a counter over its labels. */
  async metric(name: string): Promise<number> {
    const { values = [] } = (await this.registry.getSingleMetric(name)?.get()) ?? {};
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  async close(): Promise<void> {
    await this.engine.close(1_000);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #put(bytes: Buffer): Promise<BlobInfo> {
    return this.blobs.put(Readable.from([bytes]), { limitBytes: bytes.length });
  }
}
