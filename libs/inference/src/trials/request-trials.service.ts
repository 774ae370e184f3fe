import { randomInt } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AliasGuards } from '#adapters/aliases/alias-guards.service.js';
import type { ResolvedVersion, ServedShadow } from '#adapters/registry/served-target.js';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { AppError } from '#runtime/app-error.js';
import type { Sequence } from '../plan/generation-plan.js';
import type { RequestMeter } from '../meter/request-meter.js';
import { type EngineScope, ShadowTraffic } from './shadow-traffic.service.js';
import { isVersionsFault } from './version-fault.js';

export type { EngineScope } from './shadow-traffic.service.js';

/** One request's part in what its alias tries out. */
export interface RequestTrial {
  /** What is to be asked of the version that serves. */
  readonly sequences: readonly Sequence[];
  note(sequence: number, event: GenerateEvent): void;
  /** Once, unless the request was abandoned. */
  end(fault: AppError | undefined, meter: RequestMeter): void;
}

/** Guards and shadows of aliases, as requests meet them. */
@Injectable()
export class RequestTrials {
  constructor(
    private readonly guards: AliasGuards,
    private readonly shadows: ShadowTraffic,
  ) {}

  /** `version` absent: the base model, which has no aliases. */
  begin(
    version: ResolvedVersion | undefined,
    sequences: readonly Sequence[],
    scope: EngineScope,
  ): RequestTrial {
    const shadow = version?.alias?.shadow;
    // Shadows are held against each other by their tokens, and a vector has none.
    const hasTokens = sequences[0]?.request.embedding === undefined;
    if (!version || !shadow || !hasTokens || Math.random() >= shadow.share)
      return this.#guardedOnly(version, sequences);
    return this.#copied({ version, shadow, sequences: seeded(sequences), scope });
  }

  #guardedOnly(version: ResolvedVersion | undefined, sequences: readonly Sequence[]): RequestTrial {
    return {
      sequences,
      note: () => undefined,
      end: (fault, meter) => this.#guard(version, fault, meter),
    };
  }

  #copied(copy: CopiedRequest): RequestTrial {
    const served: number[][] = copy.sequences.map(() => []);
    return {
      sequences: copy.sequences,
      note: (sequence, event) => {
        if (event.type === 'tokens') served[sequence]?.push(...event.ids);
      },
      end: (fault, meter) => {
        this.#guard(copy.version, fault, meter);
        if (fault === undefined) this.shadows.offer({ ...copy, served, servedTimes: meter });
      },
    };
  }

  #guard(version: ResolvedVersion | undefined, fault: AppError | undefined, meter: RequestMeter): void {
    const failed = fault !== undefined && isVersionsFault(fault);
    if (version && (failed || fault === undefined)) this.guards.note(version, { failed, tpot: meter.tpot });
  }
}

interface CopiedRequest {
  readonly version: ResolvedVersion;
  readonly shadow: ServedShadow;
  readonly sequences: readonly Sequence[];
  readonly scope: EngineScope;
}

/** With a seed, as the engine would have drawn one: only then can both answers be held against each other. */
function seeded(sequences: readonly Sequence[]): Sequence[] {
  const drawn = randomInt(2 ** 31);
  return sequences.map(({ prompt, request }, index) => ({
    prompt,
    request: {
      ...request,
      sampling: { ...request.sampling, seed: request.sampling.seed ?? drawn + index },
    },
  }));
}
