import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { VersionResource } from '#contracts/adapters-api.js';
import { AppError } from '#runtime/app-error.js';
import { VersionWaiter } from '../registry/version-waiter.service.js';
import { VersionsService } from '../registry/versions.service.js';
import { ImportsService } from './imports.service.js';

const SOURCE = /^(?:hf|s3|https):\/\//;
/** A request waits for its adapter at most so long; then its caller is told to come again. */
const WAIT_MS = 120_000;
const COME_AGAIN_S = 5;
const SHOWN_CHARACTERS = 80;

export interface SourceCall {
  readonly tenantId: string;
  /** The caller may make adapters. */
  readonly mayImport: boolean;
  /** Ends the wait, not the import. */
  readonly signal: AbortSignal;
}

/** Whether the `model` of a request is where an adapter's files lie, instead of an adapter's name. */
export function isSource(model: string): boolean {
  return SOURCE.test(model);
}

/** The adapter that stands for a source in each tenant: readable, and another for each other text. */
export function sourceAdapterName(source: string): string {
  const words = source.replaceAll(/[^A-Za-z0-9._]+/g, '-').slice(0, SHOWN_CHARACTERS);
  return `${words}-${createHash('sha256').update(source).digest('hex').slice(0, 12)}`;
}

/** Adapters that come into being as they are first asked for, by the address of their files. */
@Injectable()
export class SourceModels {
  readonly #imports = new Map<string, Promise<VersionResource>>();

  constructor(
    private readonly imports: ImportsService,
    private readonly versions: VersionsService,
    private readonly waiter: VersionWaiter,
  ) {}

  /**
   * Resolves once the source's adapter has a version that was accepted, which it imports where there is none. Throws
   * what an import throws, insufficient_scope, and version_not_ready where the version was rejected or takes longer.
   */
  async ready(source: string, call: SourceCall): Promise<void> {
    const adapter = sourceAdapterName(source);
    const version =
      (await this.#newest(call.tenantId, adapter)) ?? (await this.#import(source, adapter, call));
    const settled = await this.waiter.settled(call.tenantId, version, WAIT_MS, call.signal);
    if (settled.state === 'ready') return;
    const where = `see /v1/adapters/${adapter}/versions/${settled.version}`;
    if (settled.state === 'rejected')
      throw notReady(
        `What lies at \`${source}\` was rejected: ${where}. Delete the adapter to have it tried again.`,
      );
    throw notReady(`The adapter at \`${source}\` is ${settled.state}: ${where}.`, COME_AGAIN_S);
  }

  /** One import for all requests of this process that come meanwhile. */
  #import(source: string, adapter: string, { tenantId, mayImport }: SourceCall): Promise<VersionResource> {
    if (!mayImport)
      throw new AppError('insufficient_scope', {
        message: `\`${source}\` is not imported yet: its first use takes a key with the scope adapters.`,
      });
    const key = `${tenantId} ${adapter}`;
    const running =
      this.#imports.get(key) ??
      this.imports
        .start({ tenantId, adapter, create: true, from: { source }, facts: {} })
        .finally(() => this.#imports.delete(key));
    this.#imports.set(key, running);
    return running;
  }

  /** Undefined where there is no adapter, or one without versions. */
  async #newest(tenantId: string, adapter: string): Promise<VersionResource | undefined> {
    try {
      return (await this.versions.list(tenantId, adapter, { limit: 1 })).data[0];
    } catch (error) {
      if (error instanceof AppError && error.code === 'not_found') return undefined;
      throw error;
    }
  }
}

function notReady(message: string, retryAfter_s?: number): AppError {
  return new AppError('version_not_ready', {
    message,
    param: 'model',
    ...(retryAfter_s === undefined ? {} : { retryAfter_s }),
  });
}
