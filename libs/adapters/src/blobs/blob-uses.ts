/** One place where a blob is used; what an operator needs to mend its loss. */
export interface BlobUse {
  readonly sha256: string;
  readonly tenant: string;
  readonly adapter: string;
  readonly version: number;
  /** The version's state: only of a ready one requests are served. */
  readonly state: string;
  /** The file's name among the version's. */
  readonly file: string;
}

/** Who uses the blobs `$1` (an array of hashes), by hash. */
export const BLOB_USES = `
  SELECT file.sha256, coalesce(tenant.name, file.tenant_id::text) AS tenant, adapter.name AS adapter,
    version.number AS version, version.state, file.name AS file
  FROM version_files file
  JOIN adapter_versions version ON version.id = file.version_id
  JOIN adapters adapter ON adapter.id = version.adapter_id
  LEFT JOIN tenants tenant ON tenant.id = file.tenant_id
  WHERE file.sha256 = ANY($1)
  ORDER BY file.sha256, tenant, adapter, version`;

/** A file of /v1/files whose bytes a blob is. */
export interface FileUse {
  readonly sha256: string;
  readonly tenant: string;
  readonly filename: string;
}

/** The same of files that belong to no version. */
export const FILE_USES = `
  SELECT file.sha256, coalesce(tenant.name, file.tenant_id::text) AS tenant, file.filename
  FROM files file LEFT JOIN tenants tenant ON tenant.id = file.tenant_id
  WHERE file.sha256 = ANY($1)
  ORDER BY file.sha256, tenant, file.filename`;
