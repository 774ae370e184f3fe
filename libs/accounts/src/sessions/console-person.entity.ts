import { Column, Entity, PrimaryColumn, Unique } from 'typeorm';

/** Who signed in by OpenID Connect; known by issuer and subject, whatever the name becomes. */
@Entity('console_people')
@Unique('console_people_subject_key', ['issuer', 'subject'])
export class ConsolePerson {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'console_people_pkey' })
  id!: string;

  @Column('text')
  issuer!: string;

  /** The claim `sub`. */
  @Column('text')
  subject!: string;

  /** For people to read: e-mail address or name, as of the last sign-in. */
  @Column('text')
  name!: string;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'last_sign_in_at', default: () => 'now()' })
  lastSignInAt!: Date;
}
