import { Injectable } from '@nestjs/common';
import { AppError } from '#runtime/app-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, type EntityManager } from 'typeorm';

export interface Registration {
  /** Names one start of the process: an engine that starts again has another. */
  readonly instance: string;
  /** Where it listens, as this process reaches it. */
  readonly url: string;
}

export interface RegisteredEngine {
  readonly name: string;
  readonly url: string;
}

export const ENGINES_CHANNEL = 'lorikeet_engines';
/** An engine says every few seconds that it is there; one that was silent for so long has lost its name to whoever asks. */
const LOST_AFTER_S = 15;
/** And is forgotten after this time. Until then it is shown, unreachable. */
const FORGOTTEN_AFTER_S = 600;

/** The engines that registered themselves. A name is held by one engine at a time. */
@Injectable()
export class EngineRegistrations {
  constructor(private readonly database: DataSource) {}

  /** Registers the engine, or notes that it is still there. Throws already_exists when the name is another's. */
  async register(name: string, { url, instance }: Registration): Promise<void> {
    await this.database.transaction(async (manager) => {
      await manager.query('LOCK TABLE engines IN SHARE ROW EXCLUSIVE MODE');
      const [known] = await this.#find(manager, name);
      if (known?.instance === instance && known.url === url) {
        await manager.query('UPDATE engines SET seen_at = now() WHERE name = $1', [name]);
        return;
      }
      if (known !== undefined && known.url !== url && known.alive) {
        throw new AppError('already_exists', {
          message: `The name "${name}" is that of the engine at ${known.url}; give this one another (ENGINE_NAME).`,
          param: 'name',
        });
      }
      // Whoever listens at the address now is the only one who can.
      await manager.query('DELETE FROM engines WHERE name = $1 OR url = $2', [name, url]);
      await manager.query('INSERT INTO engines (name, url, instance) VALUES ($1, $2, $3)', [
        name,
        url,
        instance,
      ]);
      await Notifications.publish(manager, ENGINES_CHANNEL, name);
    });
  }

  /** It is about to end. */
  async remove(name: string, instance: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      await manager.query('DELETE FROM engines WHERE name = $1 AND instance = $2', [name, instance]);
      await Notifications.publish(manager, ENGINES_CHANNEL, name);
    });
  }

  async list(): Promise<RegisteredEngine[]> {
    await this.database.query(`DELETE FROM engines WHERE seen_at < now() - make_interval(secs => $1)`, [
      FORGOTTEN_AFTER_S,
    ]);
    return this.database.query('SELECT name, url FROM engines ORDER BY name');
  }

  #find(manager: EntityManager, name: string): Promise<{ url: string; instance: string; alive: boolean }[]> {
    return manager.query(
      'SELECT url, instance, seen_at > now() - make_interval(secs => $2) AS alive FROM engines WHERE name = $1',
      [name, LOST_AFTER_S],
    );
  }
}
