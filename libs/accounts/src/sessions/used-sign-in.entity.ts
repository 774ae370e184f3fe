import { Column, Entity, PrimaryColumn } from 'typeorm';

/** An answer of the identity provider that became a session: the same answer makes no second one. */
@Entity('used_sign_ins')
export class UsedSignIn {
  /** Hex. */
  @PrimaryColumn('text', { name: 'state_sha256', primaryKeyConstraintName: 'used_sign_ins_pkey' })
  stateSha256!: string;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;
}
