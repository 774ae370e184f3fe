import { Injectable } from '@nestjs/common';
import { DataSource, In } from 'typeorm';
import { ServedVersion } from './served-version.entity.js';

/** When versions were last called, to the second in which usage was written. */
@Injectable()
export class ServedVersions {
  constructor(private readonly database: DataSource) {}

  /** By their keys; those that were never called are absent. */
  async lastServed(keys: readonly string[]): Promise<ReadonlyMap<string, Date>> {
    if (keys.length === 0) return new Map();
    const rows = await this.database.manager.findBy(ServedVersion, { served: In([...keys]) });
    return new Map(rows.map(({ served, lastServedAt }) => [served, lastServedAt]));
  }
}
