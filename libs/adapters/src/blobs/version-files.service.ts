import { Inject, Injectable } from '@nestjs/common';
import type { VersionFileResource } from '#contracts/version-files-api.js';
import type { List } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { BLOBS } from '#stores/stores.module.js';
import { DataSource } from 'typeorm';
import { findAdapter, findVersion } from '../registry/adapter-rows.js';
import { MLX_WEIGHTS_FILE, WEIGHTS_FILE } from '../intake/upload-parts.js';
import { CONVERTED_FILE, isMadeFile } from './removal.js';
import { VersionFile } from './version-file.entity.js';

export interface VersionAddress {
  readonly tenantId: string;
  readonly adapter: string;
  readonly version: number;
}

/** The bytes that a version was made from. */
@Injectable()
export class VersionFilesService {
  constructor(
    private readonly database: DataSource,
    @Inject(BLOBS) readonly blobs: BlobStore,
  ) {}

  /** By name. */
  async list(address: VersionAddress): Promise<List<VersionFileResource>> {
    const data = (await this.#rows(address)).map(resource);
    return { object: 'list', data, has_more: false, last_id: data.at(-1)?.id ?? null };
  }

  async find(address: VersionAddress, name: string): Promise<VersionFileResource> {
    const row = (await this.#rows(address)).find((each) => each.name === name);
    if (!row) throw new AppError('not_found', { message: 'The version has no such file.' });
    return resource(row);
  }

  /** Those that came, under the names that they came by. */
  async asTheyCame(address: VersionAddress): Promise<VersionFileResource[]> {
    const rows = await this.#rows(address);
    const mlx = rows.some(({ name }) => name === CONVERTED_FILE);
    return rows
      .filter(({ name }) => !isMadeFile(name))
      .map(resource)
      .map((file) => (mlx && file.id === WEIGHTS_FILE ? { ...file, id: MLX_WEIGHTS_FILE } : file));
  }

  async #rows({ tenantId, adapter: name, version: number }: VersionAddress): Promise<VersionFile[]> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, name);
    const { id: versionId } = await findVersion(manager, adapter, number);
    return manager.find(VersionFile, { where: { tenantId, versionId }, order: { name: 'ASC' } });
  }
}

function resource({ name, bytes, sha256 }: VersionFile): VersionFileResource {
  return { id: name, object: 'adapter.version.file', bytes, sha256, made: isMadeFile(name) };
}
