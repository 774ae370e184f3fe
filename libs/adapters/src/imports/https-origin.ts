import type { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import { openHttpFile } from './http-file.js';
import type { ImportOrigin, OriginLimits } from './import-origin.js';
import type { ImportSource } from './import-source.js';

/** Files behind URLs that the tenant named. */
export function httpsOrigin(
  source: ImportSource & { kind: 'https' },
  http: OutboundHttp,
  { bytesOf }: OriginLimits,
): ImportOrigin {
  return {
    pinned: source,
    leftOut: [],
    files: Object.entries(source.files).map(([name, url]) => ({
      name,
      bytes: undefined,
      sha256: undefined,
      open: (at, signal) => openHttpFile({ http, url, headers: {}, limitBytes: bytesOf(name) }, at, signal),
    })),
  };
}
