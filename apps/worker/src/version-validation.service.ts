import { Readable } from 'node:stream';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { BlobLedger } from '#adapters/blobs/blob-ledger.service.js';
import { ValidationThreads } from '#adapters/intake/validation-threads.js';
import { canonicalJson } from '#adapters/peft/canonical-json.js';
import { rejectWith, warnWith } from '#adapters/peft/read-adapter.js';
import type { IngestCase } from '#adapters/registry/version-states.service.js';
import type { AdapterReport, AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { Parity } from '#contracts/parity.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { BLOBS } from '#stores/stores.module.js';
import { parityProblem, wantsParity } from './parity-policy.js';
import { whileAway } from './patience.js';
import type { workerSettings } from './settings.js';
import { WORKER_SETTINGS } from './worker-tokens.js';

export type Validated = {
  readonly report: AdapterReport;
  readonly parity: Parity | undefined;
  /** Stored for the version; whoever asked records or frees them. */
  readonly made: ReadonlyMap<string, BlobInfo>;
} & ({ readonly verdict: 'accepted'; readonly manifest: BlobInfo } | { readonly verdict: 'rejected' });

const NO_DIFFERENCE: AdapterWarning = {
  code: 'effect_negligible',
  message: 'On the prompts of the parity check the adapter gave exactly the log-probabilities of the base.',
};

/** The whole judgement on a version against a base: its files, then the engine's parity check. */
@Injectable()
export class VersionValidation implements OnModuleDestroy {
  readonly #threads: ValidationThreads;

  constructor(
    private readonly ledger: BlobLedger,
    private readonly fleet: EngineFleet,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
  ) {
    const { validationTimeout_s: timeout_s, validationMemoryBytes: memoryBytes } = settings;
    this.#threads = new ValidationThreads(settings, { timeout_s, memoryBytes });
  }

  async onModuleDestroy(): Promise<void> {
    await this.#threads.close();
  }

  async run(version: IngestCase, base: BaseModel, signal: AbortSignal): Promise<Validated> {
    const { files, leftOut, mustMatchBase } = version;
    const result = await this.#threads.run({ files, leftOut, mustMatchBase, base }, signal);
    if (result.verdict === 'rejected') return { ...result, parity: undefined };
    const bytes = Buffer.from(canonicalJson(result.manifest));
    const manifest = await this.blobs.put(Readable.from([bytes]), { limitBytes: bytes.length, signal });
    const parity = wantsParity(this.settings.parityCheck, base)
      ? await whileAway(
          () => this.fleet.parity({ adapter: manifest.sha256, ...result.parity }, signal),
          signal,
        )
      : undefined;
    const { made } = result;
    const report = parity?.effect === 0 ? warnWith(result.report, [NO_DIFFERENCE]) : result.report;
    if (parity?.passed !== false) return { verdict: 'accepted', report, made, parity, manifest };
    await this.ledger.free([manifest.sha256]);
    return { verdict: 'rejected', report: rejectWith(report, [parityProblem(parity)]), made, parity };
  }
}
