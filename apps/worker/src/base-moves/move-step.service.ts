import { Inject, Injectable } from '@nestjs/common';
import {
  BaseMoveStates,
  type MoveCase,
  type MoveDecision,
} from '#adapters/base-moves/base-move-states.service.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { VersionJudge } from '#pipelines/evaluations/version-judge.service.js';
import type { Lease } from '#pipelines/leases/lease-rules.js';
import { mayPass } from '#pipelines/leases/passing-fault.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { WORKER_LOGGER } from '../worker-tokens.js';

/** Should no notice of the version come, it is looked at again after this long. */
const LOOK_AGAIN_MS = 2_000;
const AWAY_PAUSE_MS = 2_000;
/** While another base is served than the move's. */
const OTHER_BASE_PAUSE_MS = 30_000;
const MAX_FAULTS = 5;
const FAULT_PAUSE_MS = 1_000;

const ANSWERED = 'It answers on this base already.';
const UNEVALUATED =
  'There are no prompts for it: the move names no evaluation set, and no hook of its adapter promotes by prompts.';

/**
 * One step of a version's move. Its validation is the revalidation's job; here it is waited for, then the version is asked the
 * tenant's prompts, and answers from then on, or is left. A step that a crash ends is taken again when its lease ends.
 */
@Injectable()
export class MoveStep {
  constructor(
    private readonly states: BaseMoveStates,
    private readonly judge: VersionJudge,
    private readonly fleet: EngineFleet,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {}

  async step(lease: Lease, signal: AbortSignal): Promise<void> {
    const found = await this.states.look(lease);
    if (!found) return; // decided, or cancelled, since it was claimed
    try {
      const decision = await this.#next(found, signal);
      if (decision) await this.states.decide(found, decision);
    } catch (error) {
      signal.throwIfAborted();
      await this.#afterFault(found, error);
    }
  }

  /** Undefined: it is not the time to decide. */
  async #next(found: MoveCase, signal: AbortSignal): Promise<MoveDecision | undefined> {
    const { check, row } = found;
    switch (check.state) {
      case 'gone':
        return { state: 'left', reason: 'It was deleted.' };
      case 'answers':
        return { state: 'unchanged', reason: ANSWERED };
      case 'rejected':
        return { state: 'left', reason: `The base rejected it: ${check.reason}` };
      case 'waiting':
        return this.#pause(found, LOOK_AGAIN_MS);
      case 'held':
        if (row.state === 'evaluating') return this.#evaluate(found, signal);
        await this.states.later(found, { state: 'evaluating', dueAt: new Date() });
        return undefined;
    }
  }

  async #evaluate(found: MoveCase, signal: AbortSignal): Promise<MoveDecision | undefined> {
    const { row, move } = found;
    if (!(await this.#servesBase(move.baseDigest))) return this.#pause(found, OTHER_BASE_PAUSE_MS);
    const { tenantId, adapter, version } = row;
    const judged = await this.judge.judge({ tenantId, adapter, version }, move.policy.evaluate, signal);
    if (!judged) {
      const promoted = move.policy.unevaluated === 'promote';
      return { state: promoted ? 'promoted' : 'left', reason: `It passed the check. ${UNEVALUATED}` };
    }
    // What was asked while the base changed says nothing of this one.
    if (!(await this.#servesBase(move.baseDigest))) return this.#pause(found, OTHER_BASE_PAUSE_MS);
    const { holds, reason, evaluation } = judged;
    return { state: holds ? 'promoted' : 'left', reason, evaluation };
  }

  async #servesBase(digest: string): Promise<boolean> {
    return (await this.fleet.base()).digest === digest;
  }

  async #pause(found: MoveCase, pause_ms: number): Promise<undefined> {
    await this.states.later(found, { dueAt: new Date(Date.now() + pause_ms) });
  }

  async #afterFault(found: MoveCase, error: unknown): Promise<void> {
    if (mayPass(error)) {
      await this.#pause(found, AWAY_PAUSE_MS);
    } else if (error instanceof AppError && error.code !== 'internal_error') {
      await this.states.decide(found, { state: 'left', reason: error.message });
    } else {
      const { id, state } = found.row;
      this.logger.error({ err: error, id, state }, 'a step of a move failed');
      const faults = found.row.faults + 1;
      if (faults >= MAX_FAULTS)
        await this.states.decide(found, {
          state: 'left',
          reason: 'It could not be judged; the log says why.',
        });
      else
        await this.states.later(found, {
          faults,
          dueAt: new Date(Date.now() + FAULT_PAUSE_MS * 2 ** faults),
        });
    }
  }
}
