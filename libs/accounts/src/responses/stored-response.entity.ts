import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** An answer of /v1/responses that is kept. */
@Entity('responses')
@Index('responses_used_at_idx', ['usedAt'])
@Index('responses_tenant_id_used_at_idx', ['tenantId', 'usedAt'])
export class StoredResponse {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'responses_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  /** The one that it goes on with, which may be gone. */
  @Column('uuid', { name: 'previous_id', nullable: true })
  previousId!: string | null;

  /** What was asked besides what the ones before it hold. */
  @Column('jsonb')
  input!: object;

  /** The public resource. */
  @Column('jsonb')
  body!: object;

  /** Of `input` and `body` as JSON. */
  @Column('integer')
  bytes!: number;

  /** When it was made, or a conversation last went on with it. */
  @Column('timestamptz', { name: 'used_at', default: () => 'now()' })
  usedAt!: Date;
}
