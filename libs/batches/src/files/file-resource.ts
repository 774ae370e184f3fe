import type { StoredFile } from '#adapters/blobs/stored-file.entity.js';
import type { FileResource } from '#contracts/openai/files.js';
import { idBehind, publicId } from '#stores/ids.js';

const PREFIX = 'file-';

export const publicFileId = (id: string): string => publicId(PREFIX, id);
export const fileIdBehind = (text: string): string | undefined => idBehind(PREFIX, text);

export function fileResource({
  id,
  bytes,
  createdAt,
  expiresAt,
  filename,
  purpose,
}: StoredFile): FileResource {
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
