import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { ResumableUpload } from './resumable-upload.entity.js';

const bigint = { to: (bytes: number) => bytes, from: Number };
const PRIMARY = { primaryKeyConstraintName: 'upload_parts_pkey' };

/** A run of an upload's bytes: a blob. */
@Entity('upload_parts')
@Index('upload_parts_sha256_idx', ['sha256'])
export class UploadPart {
  @PrimaryColumn('uuid', { name: 'upload_id', ...PRIMARY })
  uploadId!: string;

  @ManyToOne(() => ResumableUpload, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'upload_id', foreignKeyConstraintName: 'upload_parts_upload_id_fkey' })
  upload?: Relation<ResumableUpload>;

  /** Where it stands in the upload. */
  @PrimaryColumn('bigint', { name: 'begin_byte', transformer: bigint, ...PRIMARY })
  beginByte!: number;

  @Column('bigint', { transformer: bigint })
  bytes!: number;

  @Column('text')
  sha256!: string;
}
