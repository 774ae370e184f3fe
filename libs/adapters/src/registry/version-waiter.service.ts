import { Injectable } from '@nestjs/common';
import type { VersionResource } from '#contracts/adapters-api.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { ADAPTERS_CHANNEL, parseChange } from './adapter-changes.js';
import { VersionsService } from './versions.service.js';

/** Should a notification be missed, the version is read again after this long. */
const LOOK_AGAIN_MS = 1_000;

/** Waits for a version to be settled. */
@Injectable()
export class VersionWaiter {
  constructor(
    private readonly versions: VersionsService,
    private readonly notifications: Notifications,
  ) {}

  /** The version once it is ready or rejected, or as it stands when the time is over or the caller has gone. */
  async settled(
    tenantId: string,
    version: VersionResource,
    wait_ms: number,
    signal: AbortSignal,
  ): Promise<VersionResource> {
    const deadline = Date.now() + wait_ms;
    const bell = new Bell();
    const unsubscribe = this.notifications.subscribe(ADAPTERS_CHANNEL, {
      changed: (payload) => parseChange(payload).version === version.id && bell.ring(),
      missed: () => bell.ring(),
    });
    const gone = (): void => bell.ring();
    signal.addEventListener('abort', gone);
    try {
      for (
        let current = version;
        ;
        current = await this.versions.get(tenantId, version.adapter, version.version)
      ) {
        const left_ms = deadline - Date.now();
        if (current.state === 'ready' || current.state === 'rejected' || left_ms <= 0 || signal.aborted)
          return current;
        await bell.wait(Math.min(left_ms, LOOK_AGAIN_MS));
      }
    } finally {
      signal.removeEventListener('abort', gone);
      unsubscribe();
    }
  }
}

/** One waiter; a ring while nobody waits is heard by the next wait. */
class Bell {
  #rung = false;
  #wake: () => void = () => undefined;

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  async wait(limit_ms: number): Promise<void> {
    if (!this.#rung) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, limit_ms);
      });
      clearTimeout(timer);
    }
    this.#rung = false;
  }
}
