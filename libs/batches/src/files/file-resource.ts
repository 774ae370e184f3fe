import type { StoredFile } from '#adapters/blobs/stored-file.entity.js';
import type { FilePurpose, FileResource } from '#contracts/openai/files.js';
import { idBehind, publicId } from '#stores/ids.js';

const PREFIX = 'file-';

/** A file that /v1/files shows. */
export type BatchFile = StoredFile & { readonly purpose: FilePurpose };

export function isBatchFile(row: StoredFile): row is BatchFile {
  return row.purpose !== 'merged_model';
}

export const publicFileId = (id: string): string => publicId(PREFIX, id);
export const fileIdBehind = (text: string): string | undefined => idBehind(PREFIX, text);

export function fileResource({
  id,
  bytes,
  createdAt,
  expiresAt,
  filename,
  purpose,
}: BatchFile): FileResource {
  return {
    id: publicFileId(id),
    object: 'file',
    bytes,
    created_at: seconds(createdAt),
    ...(expiresAt ? { expires_at: seconds(expiresAt) } : {}),
    filename,
    purpose,
    status: 'processed',
  };
}

function seconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}
