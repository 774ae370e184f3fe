import type { Artifact } from '#contracts/fine-tune-events.js';
import type { VersionFacts } from '#contracts/lineage-api.js';
import type { EvaluationCase } from '#contracts/promotion.js';

/** What a pipeline needs of the adapters and of the engines; the worker brings both together. */

export interface ImportOrder {
  /** The version's id, chosen beforehand: an order given twice makes one version. */
  readonly versionId: string;
  readonly tenantId: string;
  readonly adapter: string;
  readonly artifact: Artifact;
  /** Of the weights. */
  readonly sha256: string | undefined;
  /** Its lineage, description and labels. */
  readonly facts: VersionFacts;
  readonly hookId: string;
}

export interface VersionAddress {
  readonly tenantId: string;
  readonly adapter: string;
  readonly version: number;
}

export type VersionOutcome =
  | { readonly state: 'waiting' }
  | { readonly state: 'ready' }
  /** Rejected, not imported, or deleted meanwhile. */
  | { readonly state: 'lost'; readonly reason: string };

export interface Question {
  readonly address: VersionAddress;
  readonly case: EvaluationCase;
  readonly maxTokens: number;
}

export interface PromoteOrder {
  readonly address: VersionAddress;
  readonly alias: string;
  readonly hookId: string;
}

export abstract class PipelinePorts {
  /** Makes the version and begins to fetch its files. Throws AppError for what will never work. */
  abstract importArtifact(order: ImportOrder): Promise<{ readonly version: number }>;
  abstract outcomeOf(address: VersionAddress): Promise<VersionOutcome>;
  /** The version's greedy answer. Throws AppError; engine_unavailable and overloaded pass. */
  abstract answer(question: Question, signal: AbortSignal): Promise<string>;
  /** Points the alias at the version. Undefined: done; else why it was left. */
  abstract promote(order: PromoteOrder): Promise<string | undefined>;
}
