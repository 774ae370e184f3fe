import { Column, Entity, PrimaryColumn, Unique } from 'typeorm';

/** A secret in a URL that signs in once; deleted by its use. */
@Entity('sign_in_links')
@Unique('sign_in_links_sha256_key', ['sha256'])
export class SignInLink {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'sign_in_links_pkey' })
  id!: string;

  /** Hex, of the link's secret. */
  @Column('text')
  sha256!: string;

  /** Hex, of the key that made it: the session will be that key's. */
  @Column('text', { name: 'key_sha256' })
  keySha256!: string;

  /** Whether that is an operator's key. */
  @Column('boolean')
  operator!: boolean;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;
}
