import type { AdapterMove } from '#contracts/engine-protocol.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { AdapterManifests } from './adapter-manifests.js';
import { type AdapterDevice, AdapterResidency, type AdapterVersion } from './adapter-residency.js';
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
      weights: (digest, manifest, owner) => this.#host.open(digest, manifest, owner),
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
    });
  }

  /** Undefined is the base model. Throws AppError for a digest that this engine cannot serve. */
  async version(digest: string | undefined): Promise<AdapterVersion | undefined> {
    return digest === undefined ? undefined : { digest, manifest: await this.#manifests.get(digest) };
  }

  /** Brings the weights to the host, for a request that will need them on the device. */
  async fetch(adapter: AdapterVersion | undefined, owner: AdapterOwner): Promise<void> {
    if (adapter === undefined) return;
    const { digest, manifest } = adapter;
    const onDevice = this.residency.isResident(digest);
    const tier = onDevice ? 'device' : this.#host.has(digest) ? 'host' : 'storage';
    this.options.metrics.adapterLookups.inc({ tier });
    if (onDevice) return;
    const begin_ms = performance.now();
    await this.#host.open(digest, manifest, owner);
    if (tier !== 'storage') return;
    const seconds = (performance.now() - begin_ms) / 1000;
    this.#note({ kind: 'fetch', digest, seconds, failed: false });
    this.#fetch.add(seconds);
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
