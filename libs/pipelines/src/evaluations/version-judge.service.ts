import { Injectable } from '@nestjs/common';
import { type MoveEvaluate, type MoveEvaluation, SHOWN_FAILURES } from '#contracts/base-moves-api.js';
import type { EvaluationPolicy } from '#contracts/promotion.js';
import { AppError } from '#runtime/app-error.js';
import { DataSource, IsNull } from 'typeorm';
import { evaluate } from '../hooks/evaluate.js';
import { Hook } from '../hooks/hook.entity.js';
import { PipelinePorts, type VersionAddress } from '../hooks/pipeline-ports.js';
import { readSet } from './evaluation-sets.service.js';

/** What the answers of a version came to. */
export interface Judged {
  readonly evaluation: MoveEvaluation;
  readonly holds: boolean;
  readonly reason: string;
}

type Source = Pick<MoveEvaluation, 'by' | 'hook' | 'evaluation_set'> & { readonly policy: EvaluationPolicy };

/** Judges a version by its tenant's prompts: those that are named, or those by which a hook promotes its adapter. */
@Injectable()
export class VersionJudge {
  constructor(
    private readonly database: DataSource,
    private readonly ports: PipelinePorts,
  ) {}

  /** Undefined: there are no prompts for it. Throws not_found when the set is gone, and what passes (engine_unavailable, ...). */
  async judge(
    address: VersionAddress,
    named: MoveEvaluate | undefined,
    signal: AbortSignal,
  ): Promise<Judged | undefined> {
    const { tenantId } = address;
    const source = named
      ? await this.#ofSet(tenantId, named, { by: 'move', hook: null })
      : await this.#ofHook(address);
    if (!source) return undefined;
    const { policy, ...by } = source;
    const { results, verdict } = await evaluate(this.ports, address, policy, signal);
    const failed = results.filter(({ passed }) => !passed);
    const { score, holds, reason } = verdict;
    const evaluation = {
      ...by,
      prompts: results.length,
      passed: results.length - failed.length,
      score,
      min_score: policy.min_score,
      failures: failed.slice(0, SHOWN_FAILURES),
    };
    return { evaluation, holds, reason };
  }

  /** The newest hook of the adapter that promotes by prompts; else the newest of those for every adapter. */
  async #ofHook({ tenantId, adapter }: VersionAddress): Promise<Source | undefined> {
    const hooks = await this.database.manager.find(Hook, {
      where: [
        { tenantId, adapter },
        { tenantId, adapter: IsNull() },
      ],
      order: { adapter: { direction: 'ASC', nulls: 'LAST' }, id: 'DESC' },
    });
    const hook = hooks.find(({ promote }) => promote?.evaluate !== undefined);
    const policy = hook?.promote?.evaluate;
    if (!hook || !policy) return undefined;
    const by = { by: 'hook' as const, hook: hook.name };
    const { set, prompts = [], min_score, max_tokens } = policy;
    if (set !== undefined) return this.#ofSet(tenantId, { set, min_score, max_tokens }, by);
    return { ...by, evaluation_set: null, policy: { prompts, min_score, max_tokens } };
  }

  async #ofSet(
    tenantId: string,
    { set: name, min_score, max_tokens }: MoveEvaluate,
    by: Pick<Source, 'by' | 'hook'>,
  ): Promise<Source> {
    try {
      const { revision, digest, prompts } = await readSet(this.database.manager, tenantId, name);
      return {
        ...by,
        evaluation_set: { name, revision, digest },
        policy: { prompts, min_score, max_tokens },
      };
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
      throw new AppError('not_found', { message: `The evaluation set ${name} was deleted.`, cause: error });
    }
  }
}
