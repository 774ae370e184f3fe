import type { AdapterResource } from '#contracts/adapters-api.js';
import { useActing } from '../tenant';
import { useList } from './lists';

/** Each adapter's newest version, where it is ready, as `adapter@3`: what fields offer. Any other can be typed. */
export function useNewestVersions(): readonly string[] {
  const { header } = useActing();
  const query = { state: 'ready' };
  const { rows = [] } = useList<AdapterResource>('/v1/adapters', { tenant: header, query, limit: 200 });
  return rows.flatMap(({ name, newest_version: newest }) =>
    newest?.state === 'ready' ? [`${name}@${newest.version}`] : [],
  );
}

/** `adapter@3` in its parts; undefined: it is not written so. */
export function versionOf(text: string): { adapter: string; version: string } | undefined {
  const [, adapter, version] = /^([^@]+)@([1-9]\d*)$/.exec(text.trim()) ?? [];
  return adapter === undefined || version === undefined ? undefined : { adapter, version };
}
