import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import { nativeErrorKind } from '#native-engine/native-error.js';
import type { AdapterSpec, LoadedAdapter, WeightedAdapter } from '#native-engine/native.js';
import { AppError } from '#runtime/app-error.js';
import type { HeldManifest } from './composition.js';
import { type AdapterOwner, type Held, NO_OWNER, overShare } from './fair-eviction.js';
import { withResolvers } from '../loop/with-resolvers.js';

/** What running requests usually take to end and let go of memory. */
const RETRY_AFTER_S = 5;

/** A request's hold on a resident adapter. The handle stays valid until `release`. */
export interface AdapterLease {
  readonly handle: number;
  release(): void;
}

/** An adapter as requests name it, and what it consists of. */
export interface AdapterVersion {
  readonly digest: string;
  readonly manifest: HeldManifest;
}

export type LoadSpec = AdapterSpec | readonly WeightedAdapter[];

/** What residency asks of the native model. */
export interface AdapterDevice {
  loadAdapter(spec: LoadSpec): Promise<LoadedAdapter>;
  dropAdapter(handle: number): void;
}

/** What is to be loaded. Nothing made of it may be used before `verified` resolves. */
export interface FoundAdapter {
  readonly spec: LoadSpec;
  /** Rejects when the weights are not those of the manifest. */
  readonly verified: Promise<unknown>;
}

export interface ResidencyOptions {
  readonly device: AdapterDevice;
  readonly limitBytes: number;
  /** Local files with the manifest's weights; they are loaded while they are verified. */
  readonly weights: (digest: string, manifest: HeldManifest, owner: AdapterOwner) => Promise<FoundAdapter>;
  readonly onLoad?: (outcome: 'loaded' | 'failed', took_ms: number, digest: string) => void;
  readonly onEvict?: (digest: string) => void;
  /** A load found that nothing more will come of the device. */
  readonly onDeviceLost?: ((error: unknown) => void) | undefined;
  /** One that was dropped has left the device: its last request is over. */
  readonly onDropped?: (digest: string) => void;
}

interface Waiter {
  readonly resolve: (lease: AdapterLease) => void;
  readonly reject: (error: unknown) => void;
}

interface Entry {
  readonly digest: string;
  readonly manifest: HeldManifest;
  state: 'queued' | 'loading' | 'resident';
  handle: number;
  /** Counted in the budget: an estimate while loading, then what the device says. */
  bytes: number;
  pins: number;
  /** Who asked for it last. */
  owner: AdapterOwner;
  lastUse: number;
  readonly waiters: Set<Waiter>;
  /** Goes as soon as nobody pins it. */
  dropped: boolean;
  /** The next in the queue needs its bytes: who comes now waits behind that one. */
  draining: boolean;
}

/**
 * Which adapters lie on the device, by digest. Requests pin what they use; unpinned adapters go, least recently used
 * first and those of who holds more than its part before all others, when others need the room. Adapters that find no room wait in order: the head of the queue drains the least
 * recently used pinned ones, so that steady traffic to resident adapters cannot keep it out.
 */
export class AdapterResidency {
  readonly #entries = new Map<string, Entry>();
  readonly #queue: Entry[] = [];
  #bytes = 0;
  #clock = 0;

  constructor(private readonly options: ResidencyOptions) {}

  /** Resolves once the adapter is resident and pinned. Rejects with what went wrong with this adapter alone. */
  async acquire(
    digest: string,
    manifest: HeldManifest,
    signal?: AbortSignal,
    owner: AdapterOwner = NO_OWNER,
  ): Promise<AdapterLease> {
    signal?.throwIfAborted();
    const entry = this.#entries.get(digest) ?? this.#enqueue(digest, manifest);
    entry.owner = owner;
    if (entry.state === 'resident' && !entry.draining) return this.#lease(entry);
    const { promise, resolve, reject } = withResolvers<AdapterLease>();
    const waiter = { resolve, reject };
    entry.waiters.add(waiter);
    const giveUp = (): void => {
      entry.waiters.delete(waiter);
      reject(signal?.reason);
      this.#pump();
    };
    signal?.addEventListener('abort', giveUp, { once: true });
    this.#pump();
    try {
      const lease = await promise;
      if (signal?.aborted) lease.release(); // aborted between the grant and now
      signal?.throwIfAborted();
      return lease;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  /** Whether `acquire` would neither wait for a running request to end nor behind another that does. */
  fits({ digest, manifest }: AdapterVersion): boolean {
    const entry = this.#entries.get(digest);
    if (entry !== undefined) return entry.state !== 'queued' && !entry.draining;
    if (this.#queue.length > 0) return false;
    let roomBytes = this.options.limitBytes - this.#bytes;
    for (const { state, pins, bytes } of this.#entries.values()) {
      if (state === 'resident' && pins === 0) roomBytes += bytes;
    }
    return roomBytes >= Math.min(estimateBytes(manifest), this.options.limitBytes);
  }

  isResident(digest: string): boolean {
    return this.#entries.get(digest)?.state === 'resident';
  }

  /** Frees the adapter and what it is a part of, now or when the last request ends. */
  drop(digest: string): void {
    const holders = [...this.#entries.values()].filter(
      (entry) => entry.digest === digest || entry.manifest.parts?.some((part) => part.digest === digest),
    );
    for (const entry of holders) {
      entry.dropped = true;
      if (entry.state === 'resident' && entry.pins === 0) this.#unload(entry);
    }
    this.#pump();
  }

  get bytes(): number {
    return this.#bytes;
  }

  get limitBytes(): number {
    return this.options.limitBytes;
  }

  /** In the order in which they make room. */
  resident(): { digest: string; bytes: number; requests: number }[] {
    return this.#inEvictionOrder().map(({ digest, bytes, pins }) => ({ digest, bytes, requests: pins }));
  }

  /** Those that requests wait for. */
  waiting(): { digest: string; requests: number }[] {
    return [...this.#entries.values()]
      .filter(({ waiters }) => waiters.size > 0)
      .map(({ digest, waiters }) => ({ digest, requests: waiters.size }));
  }

  #enqueue(digest: string, manifest: HeldManifest): Entry {
    const entry: Entry = {
      digest,
      manifest,
      state: 'queued',
      handle: 0,
      bytes: 0,
      pins: 0,
      owner: NO_OWNER,
      lastUse: 0,
      waiters: new Set(),
      dropped: false,
      draining: false,
    };
    this.#entries.set(digest, entry);
    this.#queue.push(entry);
    return entry;
  }

  #lease(entry: Entry): AdapterLease {
    entry.pins++;
    entry.lastUse = ++this.#clock;
    let held = true;
    return {
      handle: entry.handle,
      release: () => {
        if (!held) return;
        held = false;
        entry.pins--;
        entry.lastUse = ++this.#clock;
        if (entry.pins > 0) return;
        if (entry.dropped) this.#unload(entry);
        this.#pump();
      },
    };
  }

  /** Starts the loads that have room, in order. */
  #pump(): void {
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      const needBytes = Math.min(estimateBytes(head.manifest), this.options.limitBytes);
      if (head.waiters.size === 0) {
        this.#queue.shift();
        this.#entries.delete(head.digest);
      } else if (this.#makeRoom(head, needBytes)) {
        this.#queue.shift();
        void this.#load(head, needBytes);
      } else return;
    }
    for (const entry of this.#entries.values()) this.#stopDraining(entry);
  }

  /** Evicts unpinned adapters until `needBytes` are free; when that is not enough, drains pinned ones and says false. */
  #makeRoom({ owner }: Entry, needBytes: number): boolean {
    const room = (): number => this.options.limitBytes - this.#bytes;
    const wanted = { owner, bytes: needBytes };
    while (room() < needBytes && this.#evictOne(wanted));
    const resident = this.#inEvictionOrder(wanted);
    let drained = room();
    for (const entry of resident) {
      if (entry.pins === 0) continue;
      if (drained < needBytes) {
        entry.draining = true;
        drained += entry.bytes;
      } else this.#stopDraining(entry);
    }
    return room() >= needBytes;
  }

  #stopDraining(entry: Entry): void {
    if (!entry.draining) return;
    entry.draining = false;
    for (const waiter of entry.waiters) waiter.resolve(this.#lease(entry));
    entry.waiters.clear();
  }

  async #load(entry: Entry, reservedBytes: number): Promise<void> {
    entry.state = 'loading';
    entry.bytes = reservedBytes;
    this.#bytes += reservedBytes;
    const start = performance.now();
    try {
      const found = await this.options.weights(entry.digest, entry.manifest, entry.owner);
      const loaded = await this.#loadVerified(found);
      if (loaded.bytes > this.options.limitBytes) {
        this.options.device.dropAdapter(loaded.handle);
        throw tooLarge(loaded.bytes, this.options.limitBytes);
      }
      this.#bytes += loaded.bytes - reservedBytes;
      Object.assign(entry, { state: 'resident', handle: loaded.handle, bytes: loaded.bytes });
      entry.lastUse = ++this.#clock;
    } catch (error) {
      this.#bytes -= reservedBytes;
      this.options.onLoad?.('failed', performance.now() - start, entry.digest);
      this.#fail(entry, error);
      this.#pump();
      return;
    }
    this.options.onLoad?.('loaded', performance.now() - start, entry.digest);
    for (const waiter of entry.waiters) waiter.resolve(this.#lease(entry));
    entry.waiters.clear();
    if (entry.dropped && entry.pins === 0) this.#unload(entry);
    this.#pump();
  }

  /** Weights that turn out to be others leave the device again, unused. */
  async #loadVerified({ spec, verified }: FoundAdapter): Promise<LoadedAdapter> {
    const [loading, check] = await Promise.allSettled([this.#loadOnDevice(spec), verified]);
    if (check.status === 'rejected') {
      if (loading.status === 'fulfilled') this.options.device.dropAdapter(loading.value.handle);
      throw check.reason;
    }
    if (loading.status === 'rejected') throw loading.reason;
    return loading.value;
  }

  /** Where the device has less memory than it may use, adapters that nobody uses give way before anybody is refused. */
  async #loadOnDevice(spec: LoadSpec): Promise<LoadedAdapter> {
    for (;;) {
      try {
        return await this.options.device.loadAdapter(spec);
      } catch (error) {
        if (nativeErrorKind(error) === 'out_of_memory' && this.#evictOne()) continue;
        if (nativeErrorKind(error) === 'device_lost') this.options.onDeviceLost?.(error);
        throw loadFault(error);
      }
    }
  }

  /** False: all that are resident are in use. */
  #evictOne(wanted?: Held): boolean {
    const first = this.#inEvictionOrder(wanted).find(({ pins }) => pins === 0);
    if (first === undefined) return false;
    this.#unload(first);
    this.options.onEvict?.(first.digest);
    return true;
  }

  /** `wanted` counts as held by who wants it. */
  #inEvictionOrder(wanted?: Held): Entry[] {
    const resident = [...this.#entries.values()].filter((entry) => entry.state === 'resident');
    const held: Held[] = wanted === undefined ? resident : [...resident, wanted];
    const over = overShare(held, this.options.limitBytes);
    const rank = ({ draining, owner }: Entry): number => (draining ? 2 : 0) + (over.has(owner.key) ? 1 : 0);
    // One that drains goes on draining although its ending requests make it the last used.
    return resident.sort((a, b) => rank(b) - rank(a) || a.lastUse - b.lastUse);
  }

  #fail(entry: Entry, error: unknown): void {
    this.#entries.delete(entry.digest);
    for (const waiter of entry.waiters) waiter.reject(error);
    entry.waiters.clear();
  }

  #unload(entry: Entry): void {
    this.options.device.dropAdapter(entry.handle);
    this.#bytes -= entry.bytes;
    this.#entries.delete(entry.digest);
    if (entry.dropped) this.options.onDropped?.(entry.digest);
    if (entry.waiters.size === 0) return;
    const again = this.#enqueue(entry.digest, entry.manifest);
    again.owner = entry.owner;
    for (const waiter of entry.waiters) again.waiters.add(waiter);
    entry.waiters.clear();
  }
}

/** Upper bound of what the weights take on the device: float32, whatever the file holds. */
export function estimateBytes(manifest: AdapterManifest): number {
  let elements = 0;
  for (const { lora, magnitude, weight, bias, tokenRows } of manifest.modules) {
    for (const tensor of [lora?.a, lora?.b, lora?.loraBias, magnitude, weight, bias, tokenRows?.rows]) {
      if (tensor !== undefined) elements += tensor.shape.reduce((product, size) => product * size, 1);
    }
  }
  return elements * 4;
}

/** What the engine lacks is no fault of the adapter: others may serve it, and this engine later. */
function loadFault(cause: unknown): AppError {
  const kind = nativeErrorKind(cause);
  if (kind === 'out_of_memory') {
    const message = 'The engine has no memory left to load the adapter.';
    return new AppError('engine_unavailable', { message, cause, retryAfter_s: RETRY_AFTER_S });
  }
  if (kind === 'closed' || kind === 'device' || kind === 'device_lost') {
    const message = 'The engine cannot load adapters any more.';
    return new AppError('engine_unavailable', { message, cause, retryAfter_s: RETRY_AFTER_S });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AppError('adapter_rejected', { message: `The adapter could not be loaded: ${reason}`, cause });
}

function tooLarge(needBytes: number, limitBytes: number): AppError {
  return new AppError('adapter_rejected', {
    message: `The adapter takes ${needBytes} bytes, but the engine keeps ${limitBytes} bytes for adapters (ADAPTER_CACHE_BYTES).`,
  });
}
