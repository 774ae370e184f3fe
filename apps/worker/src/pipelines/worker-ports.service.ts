import { Injectable } from '@nestjs/common';
import { AliasesService } from '#adapters/aliases.service.js';
import { ImportsService } from '#adapters/imports/imports.service.js';
import { VersionsService } from '#adapters/versions.service.js';
import type { VersionResource } from '#contracts/adapters-api.js';
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
  ) {
    super();
  }

  override async importArtifact(order: ImportOrder): Promise<{ version: number }> {
    const { tenantId, adapter, versionId, facts, sha256, hookId } = order;
    const { url: source, config_url, weights_url } = order.artifact;
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

  override async promote({ address, alias, hookId }: PromoteOrder): Promise<string | undefined> {
    const { tenantId, adapter, version } = address;
    const current = await this.#routed({ tenantId, adapter, alias });
    const newest = Math.max(0, ...current);
    if (newest > version) return `The alias ${alias} points at version ${newest} already, which is newer.`;
    if (newest === version && current.length === 1) return undefined; // by this job, before it was interrupted
    const routes = [{ version, weight: 1 }];
    await actAs({ type: 'hook', id: hookId }, () =>
      this.aliases.put({ tenantId, adapter, alias }, routes, hookId),
    );
    return undefined;
  }

  /** The versions that the alias points at. */
  async #routed(address: { tenantId: string; adapter: string; alias: string }): Promise<number[]> {
    try {
      return (await this.aliases.get(address)).routes.map(({ version }) => version);
    } catch (error) {
      if (error instanceof AppError && error.code === 'not_found') return [];
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
