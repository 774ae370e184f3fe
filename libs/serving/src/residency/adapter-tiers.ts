import type { AdapterMove, GenerateRequest } from '#contracts/engine-protocol.js';
import type { WeightedAdapter } from '#native-engine/native.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { AdapterManifests } from './adapter-manifests.js';
import {
  type AdapterDevice,
  AdapterResidency,
  type AdapterVersion,
  type FoundAdapter,
} from './adapter-residency.js';
import { compose, type CompositionPart } from './composition.js';
import type { AdapterOwner } from './fair-eviction.js';
import { HostAdapters } from './host-adapters.js';
import { RecentMean } from '../recent-mean.js';
import type { ServingMetrics } from '../loop/serving-metrics.js';

/** Enough for a page; each process of the API asks for them every second. */
const KEPT_MOVES = 40;

export interface AdapterTiersOptions {
  readonly blobs: BlobStore;
  readonly baseDigest: string;
  readonly device: AdapterDevice;
  readonly deviceBytes: number;
  readonly hostBytes: number;
  readonly metrics: ServingMetrics;
  /** Nothing of this adapter is to be kept any more. */
  readonly onForget: (digest: string) => void;
  readonly onDeviceLost?: (error: unknown) => void;
}

/** An adapter's way from storage over the host to the device, and back out. */
export class AdapterTiers {
  readonly residency: AdapterResidency;
  readonly #manifests: AdapterManifests;
  readonly #host: HostAdapters;
  readonly #hostLoad = new RecentMean();
  readonly #fetch = new RecentMean();
  #moves: readonly AdapterMove[] = [];

  constructor(private readonly options: AdapterTiersOptions) {
    const { blobs, metrics } = options;
    this.#manifests = new AdapterManifests(blobs, options.baseDigest);
    this.#host = new HostAdapters({ blobs, limitBytes: options.hostBytes });
    this.residency = new AdapterResidency({
      device: options.device,
      limitBytes: options.deviceBytes,
      weights: (digest, manifest, owner) => this.#find({ digest, manifest }, owner),
      onLoad: (outcome, took_ms, digest) => {
        this.#note({ kind: 'load', digest, seconds: took_ms / 1000, failed: outcome === 'failed' });
        metrics.adapterLoads.inc({ outcome });
        metrics.adapterLoadSeconds.observe(took_ms / 1000);
        if (outcome === 'loaded') this.#hostLoad.add(took_ms / 1000);
      },
      onEvict: (digest) => {
        this.#note({ kind: 'evict', digest, seconds: 0, failed: false });
        metrics.adapterEvictions.inc();
      },
      onDropped: (digest) => this.#forget(digest),
      onDeviceLost: options.onDeviceLost,
    });
  }

  /** Undefined is the base model. Throws AppError for what this engine cannot serve. */
  async version(
    asked: Pick<GenerateRequest, 'adapter' | 'composition'>,
  ): Promise<AdapterVersion | undefined> {
    const { adapter: digest, composition } = asked;
    if (digest === undefined) return undefined;
    const read = (of: string) => this.#manifests.get(of);
    return { digest, manifest: await (composition === undefined ? read(digest) : compose(asked, read)) };
  }

  /** Brings the weights to the host, for a request that will need them on the device. */
  async fetch(adapter: AdapterVersion | undefined, owner: AdapterOwner): Promise<void> {
    if (adapter === undefined) return;
    if (this.residency.isResident(adapter.digest))
      this.options.metrics.adapterLookups.inc({ tier: 'device' });
    else await Promise.all((adapter.manifest.parts ?? [adapter]).map((part) => this.#toHost(part, owner)));
  }

  async #toHost({ digest, manifest }: AdapterVersion, owner: AdapterOwner): Promise<void> {
    const tier = this.#host.has(digest) ? 'host' : 'storage';
    this.options.metrics.adapterLookups.inc({ tier });
    const begin_ms = performance.now();
    await this.#host.open(digest, manifest, owner);
    if (tier !== 'storage') return;
    const seconds = (performance.now() - begin_ms) / 1000;
    this.#note({ kind: 'fetch', digest, seconds, failed: false });
    this.#fetch.add(seconds);
  }

  async #find({ digest, manifest }: AdapterVersion, owner: AdapterOwner): Promise<FoundAdapter> {
    const { modules, parts, vocabSize } = manifest;
    if (parts === undefined) {
      const { path, verified } = await this.#host.open(digest, manifest, owner);
      return { spec: { weightsPath: path, modules, vocabSize }, verified };
    }
    const files = await Promise.all(parts.map((part) => this.#host.open(part.digest, part.manifest, owner)));
    return {
      spec: files.map(({ path }, i) => weighted(path, parts[i] as CompositionPart)),
      verified: Promise.all(files.map(({ verified }) => verified)),
    };
  }

  /** Loads it although no request asks for it. */
  async warm(digest: string, signal: AbortSignal): Promise<void> {
    const manifest = await this.#manifests.get(digest);
    (await this.residency.acquire(digest, manifest, signal)).release();
  }

  /** Frees it on all tiers, now or when its last request ends. */
  drop(digest: string): void {
    this.#forget(digest);
    this.residency.drop(digest);
  }

  get hostBytes(): number {
    return this.#host.bytes;
  }

  get hostDigests(): string[] {
    return this.#host.digests;
  }

  /** What a load to the device takes, by where it begins; absent until it was measured. */
  get loadSeconds(): { host?: number; storage?: number } {
    const host = this.#hostLoad.value;
    const fetch = this.#fetch.value;
    if (host === undefined) return {};
    return { host, ...(fetch === undefined ? {} : { storage: fetch + host }) };
  }

  /** What came and went last, oldest first. */
  get moves(): readonly AdapterMove[] {
    return this.#moves;
  }

  #note(move: Omit<AdapterMove, 'at'>): void {
    this.#moves = [...this.#moves, { ...move, at: new Date().toISOString() }].slice(-KEPT_MOVES);
  }

  #forget(digest: string): void {
    this.#host.forget(digest);
    this.options.onForget(digest);
  }
}

function weighted(weightsPath: string, { manifest: { modules }, weight }: CompositionPart): WeightedAdapter {
  return { weightsPath, modules, weight };
}
