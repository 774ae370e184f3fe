import { AppError } from '#runtime/app-error.js';
import { type AdapterDemand, claimAdapters, type DemandLimits } from './adapter-demand.js';
import type { AdapterResidency } from './adapter-residency.js';
import type { Sequence } from '../loop/sequence.js';

export interface AdapterAdmissionOptions {
  readonly residency: AdapterResidency;
  readonly limits: DemandLimits;
  /** A waiting request has its adapter. */
  readonly onReady: () => void;
  readonly onFailed: (sequence: Sequence, error: AppError) => void;
}

/** Gets the waiting requests their adapters, in the order in which they are to be served. */
export class AdapterAdmission {
  readonly #demand: AdapterDemand<Sequence>;

  constructor(private readonly options: AdapterAdmissionOptions) {
    const { residency } = options;
    this.#demand = {
      fits: ({ options: { adapter } }) => adapter === undefined || residency.fits(adapter),
      ask: (sequence, due) => {
        sequence.waitsForRoom = due;
        sequence.adapterState = 'loading';
        void this.#acquire(sequence);
      },
      pass: (sequence) => {
        sequence.waitsForRoom = true;
      },
      giveBack: (sequence) => {
        sequence.waitsForRoom = true;
        this.release(sequence);
      },
    };
  }

  advance(inOrder: Iterable<Sequence>, waiting: Iterable<Sequence>): void {
    claimAdapters(inOrder, waiting, this.#demand, this.options.limits);
  }

  /** Gives up what the request holds or waits for. */
  release(sequence: Sequence): void {
    if (sequence.adapter === undefined) return;
    const { lease, leaseWanted } = sequence;
    sequence.adapterState = 'absent';
    sequence.lease = undefined;
    sequence.leaseWanted = undefined;
    leaseWanted?.abort();
    lease?.release();
  }

  /** Never rejects. */
  async #acquire(sequence: Sequence): Promise<void> {
    const { adapter } = sequence.options;
    if (adapter === undefined) return;
    const wanted = new AbortController();
    sequence.leaseWanted = wanted;
    sequence.adapterAsked_ms ??= performance.now();
    try {
      const { fairnessKey: key, fairnessWeight: weight } = sequence;
      const { digest, manifest } = adapter;
      const owner = { key, weight };
      const lease = await this.options.residency.acquire(digest, manifest, wanted.signal, owner);
      if (wanted.signal.aborted) return lease.release();
      Object.assign(sequence, { lease, adapterState: 'ready', waitsForRoom: false, passes: 0 });
      sequence.adapterReady_ms ??= performance.now();
      sequence.options.onAdapter();
      this.options.onReady();
    } catch (cause) {
      if (wanted.signal.aborted) return;
      const error = cause instanceof AppError ? cause : new AppError('internal_error', { cause });
      this.options.onFailed(sequence, error);
    }
  }
}
