import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MANIFEST_FILE } from '../blobs/removal.js';
import { findAdapter } from './adapter-rows.js';

export interface VersionDigest {
  readonly version: number;
  readonly digest: string;
  /** Another tenant has a version with the very same content. */
  readonly shared: boolean;
}

/** Under which digests engines know the versions of an adapter, on whichever base. */
@Injectable()
export class VersionDigests {
  constructor(private readonly database: DataSource) {}

  /** Of `among` alone, newest version first. */
  async find(tenantId: string, adapterName: string, among: readonly string[]): Promise<VersionDigest[]> {
    const adapter = await findAdapter(this.database.manager, tenantId, adapterName);
    return this.database.query<VersionDigest[]>(FIND, [tenantId, adapter.id, among, MANIFEST_FILE]);
  }
}

/** A digest is the hash of the manifest, and files are found by their hash. */
const KNOWN = `
  SELECT DISTINCT version.tenant_id, version.adapter_id, version.number, files.sha256 AS digest
  FROM version_files files JOIN adapter_versions version ON version.id = files.version_id
  WHERE files.sha256 = ANY ($3::text[]) AND (files.name = $4 OR files.name LIKE 'base-%.' || $4)`;
const FIND = `
  WITH known AS (${KNOWN})
  SELECT number AS version, digest, EXISTS (
    SELECT FROM known other WHERE other.digest = known.digest AND other.tenant_id <> $1::uuid) AS shared
  FROM known WHERE tenant_id = $1::uuid AND adapter_id = $2::uuid ORDER BY number DESC`;
