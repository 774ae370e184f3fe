import type { MigrationInterface, QueryRunner } from 'typeorm';

const STATES = "'pending', 'approved', 'declined', 'superseded', 'outdated'";

/** Changes of protected aliases that nobody decides end by themselves. */
export class PendingChangeExpiry1763600000073 implements MigrationInterface {
  name = 'PendingChangeExpiry1763600000073';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE pending_alias_changes ADD COLUMN expires_at timestamptz');
    await runner.query(
      "UPDATE pending_alias_changes SET expires_at = now() + interval '7 days' WHERE state = 'pending'",
    );
    await allow(runner, `${STATES}, 'expired'`);
    await runner.query(
      "CREATE INDEX pending_alias_changes_expires_at_idx ON pending_alias_changes (expires_at) WHERE state = 'pending'",
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX pending_alias_changes_expires_at_idx');
    await runner.query("UPDATE pending_alias_changes SET state = 'outdated' WHERE state = 'expired'");
    await allow(runner, STATES);
    await runner.query('ALTER TABLE pending_alias_changes DROP COLUMN expires_at');
  }
}

async function allow(runner: QueryRunner, states: string): Promise<void> {
  const constraint = 'pending_alias_changes_state_check';
  await runner.query(`ALTER TABLE pending_alias_changes DROP CONSTRAINT ${constraint}`);
  await runner.query(
    `ALTER TABLE pending_alias_changes ADD CONSTRAINT ${constraint} CHECK (state IN (${states}))`,
  );
}
