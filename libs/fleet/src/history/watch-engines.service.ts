import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import { EngineFleet } from '../engine-fleet.js';
import { EngineHistory } from './engine-history.service.js';
import { samplesOf } from './engine-sample.js';

export const FLEET_LOGGER = Symbol('FLEET_LOGGER');
const EVERY_MS = 5_000;

/** Writes down how busy the engines are, every few seconds. */
@Injectable()
export class WatchEngines implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly fleet: EngineFleet,
    private readonly history: EngineHistory,
    @Inject(FLEET_LOGGER) private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.#writing = this.#writing.then(() => this.#write());
    }, EVERY_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
  }

  async #write(): Promise<void> {
    try {
      await this.history.add(samplesOf(this.fleet.statuses()), Date.now());
    } catch (err) {
      this.logger.debug({ err }, 'the engines could not be noted; a sample is lost');
    }
  }
}
