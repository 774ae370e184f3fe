import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Outbox1763600000014 implements MigrationInterface {
  name = 'Outbox1763600000014';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE outbox_events (
        id uuid NOT NULL CONSTRAINT outbox_events_pkey PRIMARY KEY,
        tenant_id uuid NOT NULL,
        type text NOT NULL,
        payload jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        dispatched_at timestamptz
      )`);
    await runner.query(
      'CREATE INDEX outbox_events_waiting_idx ON outbox_events (id) WHERE dispatched_at IS NULL',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE outbox_events');
  }
}
