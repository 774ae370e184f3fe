import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ResumableUploads1763600000022 implements MigrationInterface {
  name = 'ResumableUploads1763600000022';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE resumable_uploads (
        id uuid NOT NULL CONSTRAINT resumable_uploads_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        bytes bigint NOT NULL,
        received_bytes bigint NOT NULL DEFAULT 0,
        metadata jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        CONSTRAINT resumable_uploads_bytes_check CHECK (received_bytes <= bytes)
      )`);
    await runner.query('CREATE INDEX resumable_uploads_tenant_id_idx ON resumable_uploads (tenant_id, id)');
    await runner.query('CREATE INDEX resumable_uploads_expires_at_idx ON resumable_uploads (expires_at)');
    await runner.query(`
      CREATE TABLE upload_parts (
        upload_id uuid NOT NULL
          CONSTRAINT upload_parts_upload_id_fkey REFERENCES resumable_uploads (id) ON DELETE CASCADE,
        begin_byte bigint NOT NULL,
        bytes bigint NOT NULL,
        sha256 text NOT NULL,
        CONSTRAINT upload_parts_pkey PRIMARY KEY (upload_id, begin_byte)
      )`);
    await runner.query('CREATE INDEX upload_parts_sha256_idx ON upload_parts (sha256)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE upload_parts');
    await runner.query('DROP TABLE resumable_uploads');
  }
}
