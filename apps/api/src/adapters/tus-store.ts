import type { Readable } from 'node:stream';
import { DataStore, Upload } from '@tus/server';
import type { ResumableUpload } from '#adapters/resumable/resumable-upload.entity.js';
import { type ResumableUploads, UPLOAD_LIFE_MS } from '#adapters/resumable/resumable-uploads.service.js';
import { isId } from '#stores/ids.js';
import { AppError } from '#runtime/app-error.js';

/** One tenant's uploads as the tus server sees them. */
export class TusStore extends DataStore {
  override extensions = ['creation', 'creation-with-upload', 'termination', 'expiration'];

  constructor(
    private readonly uploads: ResumableUploads,
    private readonly tenantId: string,
  ) {
    super();
  }

  override async create(upload: Upload): Promise<Upload> {
    const { id, size = 0, metadata = {} } = upload;
    const made = await this.uploads.create({ id, tenantId: this.tenantId, bytes: size, metadata });
    upload.creation_date = made.createdAt.toISOString();
    return upload;
  }

  override write(stream: Readable, id: string, offset: number): Promise<number> {
    return this.uploads.append(this.#address(id), offset, stream);
  }

  override async getUpload(id: string): Promise<Upload> {
    return asUpload(await this.uploads.get(this.#address(id)));
  }

  override remove(id: string): Promise<void> {
    return this.uploads.remove(this.#address(id));
  }

  override getExpiration(): number {
    return UPLOAD_LIFE_MS;
  }

  #address(id: string): { tenantId: string; id: string } {
    if (!isId(id)) throw new AppError('not_found', { message: 'There is no such upload.' });
    return { tenantId: this.tenantId, id };
  }
}

function asUpload({ id, bytes, receivedBytes, metadata, createdAt }: ResumableUpload): Upload {
  const creation_date = createdAt.toISOString();
  return new Upload({ id, size: bytes, offset: receivedBytes, metadata, creation_date });
}
