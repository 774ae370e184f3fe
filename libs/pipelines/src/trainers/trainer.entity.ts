import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { SigningSecrets } from '../secrets/signing-secret.js';

/** An external service that trains: it gets jobs and posts reports, both signed with its secret. */
@Entity('trainers')
@Index('trainers_tenant_id_name_key', ['tenantId', 'name'], { unique: true, where: 'tenant_id IS NOT NULL' })
@Index('trainers_shared_name_key', ['name'], { unique: true, where: 'tenant_id IS NULL' })
export class Trainer {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'trainers_pkey' })
  id!: string;

  /** Null: the operator's, for every tenant. */
  @Column('uuid', { name: 'tenant_id', nullable: true })
  tenantId!: string | null;

  @Column('text')
  name!: string;

  @Column('text')
  url!: string;

  @Column(() => SigningSecrets, { prefix: false })
  secrets!: SigningSecrets;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
