import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { EngineFleet } from './engine-fleet.js';
import { ENGINES_CHANNEL, EngineRegistrations } from './engine-registrations.service.js';

/** Beside what is heard at once: engines that are forgotten send no notice. */
const READ_EVERY_MS = 30_000;

/** Keeps the fleet to the engines that are registered, in every process that has a fleet. */
@Injectable()
export class EngineDirectory implements OnModuleInit, OnApplicationShutdown {
  #unsubscribe: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Reads go one after another, so that an old answer never replaces a newer one. */
  #reading: Promise<void> = Promise.resolve();

  constructor(
    private readonly fleet: EngineFleet,
    private readonly registrations: EngineRegistrations,
    private readonly notifications: Notifications,
    private readonly logger: Logger,
  ) {}

  async onModuleInit(): Promise<void> {
    this.#unsubscribe = this.notifications.subscribe(ENGINES_CHANNEL, {
      changed: () => void this.#read(),
      missed: () => void this.#read(),
    });
    this.#timer = setInterval(() => void this.#read(), READ_EVERY_MS).unref();
    await this.#read();
  }

  onApplicationShutdown(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
  }

  /** While PostgreSQL is away the fleet stays as it was. */
  #read(): Promise<void> {
    this.#reading = this.#readAfter(this.#reading);
    return this.#reading;
  }

  async #readAfter(last: Promise<void>): Promise<void> {
    await last;
    try {
      this.fleet.setRegistered(await this.registrations.list());
    } catch (err) {
      this.logger.debug({ err }, 'the registered engines could not be read; it is tried again');
    }
  }
}
