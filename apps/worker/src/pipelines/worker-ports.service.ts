import { Injectable } from '@nestjs/common';
import type { AliasPrecondition } from '#adapters/aliases/alias-precondition.js';
import { type AliasAddress, AliasesService } from '#adapters/aliases/aliases.service.js';
import { ImportsService } from '#adapters/imports/imports.service.js';
import { VersionsService } from '#adapters/registry/versions.service.js';
import type { AliasResource, VersionResource } from '#contracts/adapters-api.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import {
  type ImportOrder,
  PipelinePorts,
  type PromoteOrder,
  type Question,
  type VersionAddress,
  type VersionOutcome,
} from '#pipelines/hooks/pipeline-ports.js';
import { AppError } from '#runtime/app-error.js';
import { actAs } from '#runtime/request-context.js';
import { VersionAnswers } from './version-answers.service.js';

/** What pipelines need of adapters and engines. */
@Injectable()
export class WorkerPorts extends PipelinePorts {
  constructor(
    private readonly imports: ImportsService,
    private readonly versions: VersionsService,
    private readonly aliases: AliasesService,
    private readonly answers: VersionAnswers,
    private readonly fleet: EngineFleet,
  ) {
    super();
  }

  override async importArtifact(order: ImportOrder): Promise<{ version: number }> {
    const { tenantId, adapter, versionId, facts, sha256, hookId } = order;
    const { url: source, config_url, weights_url } = order.artifact;
    // As for every new adapter: its name must not hide the base model, where that is known.
    if (this.fleet.ready() && adapter === (await this.fleet.base()).name)
      throw new AppError('already_exists', { message: `${adapter} is the base model's name.` });
    const from = { source, config_url, weights_url, sha256 };
    return actAs({ type: 'hook', id: hookId }, () =>
      this.imports.start({ tenantId, adapter, create: true, from, facts, versionId }),
    );
  }

  override async outcomeOf({ tenantId, adapter, version }: VersionAddress): Promise<VersionOutcome> {
    try {
      return outcome(await this.versions.get(tenantId, adapter, version));
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
      return { state: 'lost', reason: `${adapter}@${version} was deleted.` };
    }
  }

  override answer(question: Question, signal: AbortSignal): Promise<string> {
    return this.answers.ask(question, signal);
  }

  /** Decides again when somebody else moved the alias meanwhile, so that it never goes back to an older version. */
  override async promote(order: PromoteOrder): Promise<string | undefined> {
    const { address, alias, hookId } = order;
    const { tenantId, adapter, version } = address;
    for (;;) {
      const current = await this.#current({ tenantId, adapter, alias });
      const numbers = current?.routes.map((route) => route.version) ?? [];
      const newest = Math.max(0, ...numbers);
      if (newest > version) return `The alias ${alias} points at version ${newest} already, which is newer.`;
      if (newest === version && numbers.length === 1) return undefined; // by this job, before it was interrupted
      const expected: AliasPrecondition = current
        ? { kind: 'revision', revision: current.revision }
        : { kind: 'absent' };
      const change = { routes: [{ version, weight: 1 }] };
      try {
        const outcome = await actAs({ type: 'hook', id: hookId }, () =>
          this.aliases.set({ tenantId, adapter, alias }, change, { keyId: hookId, expected }),
        );
        if (outcome.kind === 'done') return undefined;
        return `The alias ${alias} is protected: the change ${outcome.change.id} waits until somebody approves it.`;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'precondition_failed') throw error;
      }
    }
  }

  async #current(address: AliasAddress): Promise<AliasResource | undefined> {
    try {
      return await this.aliases.get(address);
    } catch (error) {
      if (error instanceof AppError && error.code === 'not_found') return undefined;
      throw error;
    }
  }
}

function outcome({ state, failure, report, adapter, version }: VersionResource): VersionOutcome {
  if (state === 'ready') return { state };
  if (state !== 'rejected') return { state: 'waiting' };
  const reason = failure ?? report?.errors[0]?.message ?? 'see its report';
  return { state: 'lost', reason: `${adapter}@${version} was rejected: ${reason}` };
}
