import { asStorable } from '#contracts/storable.js';
import { FILE_NAMES } from '../intake/upload-parts.js';
import type { ResumableUploads } from '../resumable/resumable-uploads.service.js';
import { final } from './import-error.js';
import type { ImportOrigin } from './import-origin.js';
import type { ImportSource } from './import-source.js';

/** Files that the tenant sent piece by piece; they are here already and only have to be joined. */
export function uploadsOrigin(
  source: ImportSource & { kind: 'uploads' },
  uploads: ResumableUploads,
  tenantId: string,
): ImportOrigin {
  const entries = Object.entries(source.files);
  return {
    pinned: source,
    leftOut: entries.flatMap(([name]) => (FILE_NAMES.includes(name) ? [] : [asStorable(name)])),
    files: entries
      .filter(([name]) => FILE_NAMES.includes(name))
      .map(([name, id]) => ({
        name,
        bytes: undefined,
        sha256: undefined,
        open: async () => {
          const found = await uploads.open({ tenantId, id });
          if (!found) throw final(`The upload of ${name} was deleted before it was used.`);
          return { offset: 0, totalBytes: found.bytes, validator: undefined, body: found.body };
        },
      })),
  };
}
