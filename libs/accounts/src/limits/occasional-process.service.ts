import { Injectable } from '@nestjs/common';
import { ApiProcesses } from './api-processes.service.js';

/** A process that admits requests only now and then: it takes a share of the limits for no longer than that. */
@Injectable()
export class OccasionalProcess extends ApiProcesses {
  #users = 0;
  /** One change after the other. */
  #changing: Promise<void> = Promise.resolve();

  override onModuleInit(): Promise<void> {
    return Promise.resolve();
  }

  override async onModuleDestroy(): Promise<void> {
    await this.#changing;
    if (this.#users > 0) await this.leave();
  }

  /** Runs `work` as one of the processes that admit requests. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#users += 1;
    if (this.#users === 1) this.#change(() => this.enter());
    try {
      await this.#changing;
      return await work();
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#change(() => this.leave());
    }
  }

  #change(work: () => Promise<void>): void {
    this.#changing = this.#changing.then(work).catch(() => undefined);
  }
}
