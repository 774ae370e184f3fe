import type { VersionDigest } from '#adapters/registry/version-digests.service.js';
import type { Residency } from '#contracts/adapters-api.js';
import type { EngineView } from '#fleet/engine-handle.js';

/** Every digest that some engine holds or waits for. */
export function digestsOn(views: readonly EngineView[]): string[] {
  const all = views.flatMap(({ status }) => {
    const { resident = [], host = [], waiting = [] } = status?.adapters ?? {};
    return [...host, ...[...resident, ...waiting].map(({ digest }) => digest)];
  });
  return [...new Set(all)];
}

/** Where versions lie, newest version first; engines that do not answer hold nothing. */
export function residencyOf(views: readonly EngineView[], versions: readonly VersionDigest[]): Residency[] {
  return versions.flatMap(({ version, digest, shared }) =>
    views.flatMap(({ state, status, name, url }) => {
      if (!status || state === 'unreachable') return [];
      const { resident, host = [], waiting = [] } = status.adapters;
      const onDevice = resident.find((each) => each.digest === digest);
      const awaited = waiting.find((each) => each.digest === digest);
      const onHost = host.includes(digest);
      if (!onDevice && !awaited && !onHost) return [];
      const requests = (onDevice?.requests ?? 0) + (awaited?.requests ?? 0);
      return [
        {
          object: 'adapter.residency' as const,
          version,
          engine: status.engine || (name ?? new URL(url).host),
          device: onDevice !== undefined,
          host: onHost,
          requests: shared ? null : requests,
        },
      ];
    }),
  );
}
