import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MANIFEST_FILE } from '../blobs/removal.js';

export interface DigestOwner {
  readonly tenant: string;
  readonly adapter: string;
  readonly version: number;
}

const OWNERS_PER_DIGEST = 10;

/** Which versions have the digests that an engine speaks of; for operators, so over all tenants. */
@Injectable()
export class DigestOwners {
  constructor(private readonly database: DataSource) {}

  async find(digests: readonly string[]): Promise<ReadonlyMap<string, readonly DigestOwner[]>> {
    const owners = new Map<string, DigestOwner[]>();
    if (digests.length === 0) return owners;
    // A digest is the hash of the manifest, and files are found by their hash.
    const rows = (await this.database.query(
      `SELECT wanted.digest, found.* FROM unnest($1::text[]) AS wanted (digest)
       CROSS JOIN LATERAL (
         SELECT tenants.name AS tenant, adapters.name AS adapter, versions.number AS version
         FROM version_files files
         JOIN adapter_versions versions ON versions.id = files.version_id
         JOIN adapters ON adapters.id = versions.adapter_id
         JOIN tenants ON tenants.id = versions.tenant_id
         WHERE files.sha256 = wanted.digest AND (files.name = $2 OR files.name LIKE 'base-%.' || $2)
         ORDER BY files.version_id LIMIT $3
       ) found`,
      [[...new Set(digests)], MANIFEST_FILE, OWNERS_PER_DIGEST],
    )) as (DigestOwner & { digest: string })[];
    for (const { digest, ...owner } of rows) {
      const known = owners.get(digest);
      if (known) known.push(owner);
      else owners.set(digest, [owner]);
    }
    return owners;
  }
}
