import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import { InferenceEngine, type InferenceEngineOptions } from '#serving/loop/inference-engine.js';
import type { OpenedModel } from '#serving/model-opening.js';
import { Tokenizer } from '#serving/text/tokenizer.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { eagerDrafts } from './eager-drafts.js';
import { FakeNative, type FakeNativeOptions, fakeNext } from './fake-native.js';

const MODEL = join(import.meta.dirname, '../golden/cases/llama-gqa/model');
const BASE = 'base-digest';
export const EOS = 1;

type Overrides = Partial<InferenceEngineOptions['settings']> &
  Partial<FakeNativeOptions> & {
    readonly chatTemplate?: string;
    readonly pooling?: OpenedModel['pooling'];
    readonly tokenizer?: Tokenizer;
    readonly draft?: FakeNative;
    readonly draftPolicy?: InferenceEngineOptions['draftPolicy'];
    readonly onDeviceLost?: (error: unknown) => void;
    /** Left out: whatever is found is checked, as the fake's times say nothing. */
    readonly textPolicy?: InferenceEngineOptions['textPolicy'];
  };

export interface OpenedEngine {
  readonly engine: InferenceEngine;
  readonly native: FakeNative;
  readonly registry: Registry;
  readonly model: OpenedModel;
}

/** Inference engines over the fake native model, with five adapters in a blob store of their own. */
export class ServingFixture {
  readonly #opened: OpenedEngine[] = [];

  private constructor(
    private readonly folder: string,
    private readonly tokenizer: Tokenizer,
    readonly blobs: FileBlobStore,
    readonly digests: readonly string[],
  ) {}

  static async make(): Promise<ServingFixture> {
    const folder = mkdtempSync(join(tmpdir(), 'lorikeet-serving-'));
    const blobs = await FileBlobStore.open(folder);
    const digests = await Promise.all([1, 2, 3, 4, 5].map((n) => storeAdapter(blobs, n)));
    return new ServingFixture(folder, await Tokenizer.load(MODEL), blobs, digests);
  }

  open(overrides: Overrides = {}, blobs: BlobStore = this.blobs): OpenedEngine {
    const native = new FakeNative({ kvPages: 64, pageTokens: 16, ...overrides });
    const registry = new Registry();
    const draft = overrides.draft && { name: 'draft', native: overrides.draft };
    const model = {
      native,
      draft,
      tokenizer: overrides.tokenizer ?? this.tokenizer,
      templates: new Map(overrides.chatTemplate === undefined ? [] : [['default', overrides.chatTemplate]]),
      eosTokenIds: [EOS],
      pooling: overrides.pooling ?? { kind: 'last' as const, normalize: true },
      base: baseOf(native),
    };
    const engine = new InferenceEngine({
      model,
      settings: {
        adapterCacheBytes: 1000,
        hostAdapterCacheBytes: 1000,
        speculation: 'off',
        goodputTtft_ms: 1000,
        goodputTpot_ms: 150,
        maxSequences: 8,
        maxStepTokens: 32,
        maxQueuedRequests: 100,
        chatControlTokens: 'text',
        structureTimeout_ms: 60_000,
        toolParser: 'auto',
        reasoningParser: 'auto',
        ...overrides,
      },
      blobs,
      registry,
      logger: pino({ level: 'silent' }),
      ...(overrides.draftPolicy ? { draftPolicy: overrides.draftPolicy } : {}),
      ...(overrides.onDeviceLost ? { onDeviceLost: overrides.onDeviceLost } : {}),
      textPolicy: overrides.textPolicy ?? eagerDrafts(16),
    });
    const opened = { engine, native, registry, model };
    this.#opened.push(opened);
    return opened;
  }

  /** Closes what a test opened. Whatever it did, everything must have come back. */
  async closeAll(): Promise<void> {
    for (const { engine, native } of this.#opened.splice(0)) {
      const { kv, load, adapters, draft } = engine.status();
      assert.equal(kv.freePages, kv.pages);
      assert.equal(draft?.kv.freePages, draft?.kv.pages);
      assert.deepEqual(load, { runningRequests: 0, waitingRequests: 0, queuedTokens: 0 });
      assert.ok(adapters.resident.every((entry) => entry.requests === 0));
      if (!native.closed) await engine.close(1000);
      assert.ok(native.closed);
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function baseOf(native: FakeNative) {
  const { vocabSize, maxPositions, kvPages, architecture, hiddenSize, numLayers } = native.description;
  return {
    name: 'fake',
    digest: BASE,
    architecture,
    hiddenSize,
    numLayers,
    vocabSize,
    maxContext: Math.min(maxPositions, kvPages * 16),
    tieWordEmbeddings: false,
    quantization: 'none',
    modules: [],
  };
}

export async function putText(
  blobs: FileBlobStore,
  text: string,
): Promise<{ sha256: string; bytes: number }> {
  return blobs.put(Readable.from([Buffer.from(text)]), { limitBytes: 10_000 });
}

async function storeAdapter(blobs: FileBlobStore, n: number): Promise<string> {
  const manifest = manifestOf(n, await putText(blobs, `weights ${n}`));
  return (await putText(blobs, JSON.stringify(manifest))).sha256;
}

/** As `manifestOf`, of an activated LoRA. */
export async function storeActivated(
  blobs: FileBlobStore,
  n: number,
  invocationTokens: number[],
): Promise<string> {
  const plain = manifestOf(n, await putText(blobs, `weights ${n}`));
  const manifest: AdapterManifest = { ...plain, format: 'lorikeet.adapter.v2', invocationTokens };
  return (await putText(blobs, JSON.stringify(manifest))).sha256;
}

/** An adapter that takes 80 bytes on the device. */
export function manifestOf(n: number, weights: AdapterManifest['weights']): AdapterManifest {
  const tensor = { name: 't', dtype: 'F32' as const, shape: [1, 10], begin: 0, end: 40 };
  return {
    format: 'lorikeet.adapter.v1',
    base: BASE,
    weights,
    modules: [{ module: 'm', lora: { rank: 1, scale: n, a: tensor, b: tensor } }],
  };
}

export async function collect(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const all: GenerateEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** A prompt of `length` ordinary tokens, another one for each salt. */
export const promptOf = (length: number, salt = 1): number[] =>
  Array.from({ length }, (_, i) => 8 + ((i * 37 + salt * 101) % 490));

/** What the fake model generates after `prompt`. */
export function expectedIds(adapter: number, prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) tokens.push(fakeNext(adapter, tokens, 512));
  return tokens.slice(prompt.length);
}
