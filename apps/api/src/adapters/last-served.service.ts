import { Injectable } from '@nestjs/common';
import { servedKey } from '#accounts/served-key.js';
import { ServedVersions } from '#accounts/served-versions.service.js';
import { AdaptersService } from '#adapters/registry/adapters.service.js';
import type { VersionResource } from '#contracts/adapters-api.js';

/** Adds to versions when they were last called: usage knows, the registry does not. */
@Injectable()
export class LastServed {
  constructor(
    private readonly adapters: AdaptersService,
    private readonly served: ServedVersions,
  ) {}

  async of(tenantId: string, versions: readonly VersionResource[]): Promise<VersionResource[]> {
    if (versions.length === 0) return [];
    const ids = await this.adapters.idsOf(
      tenantId,
      versions.map(({ adapter }) => adapter),
    );
    const keyOf = ({ adapter, version }: VersionResource) => servedKey(ids.get(adapter) ?? '', version);
    const times = await this.served.lastServed(versions.map(keyOf));
    return versions.map((version) => ({
      ...version,
      last_served_at: times.get(keyOf(version))?.toISOString() ?? null,
    }));
  }

  async ofOne(tenantId: string, version: VersionResource): Promise<VersionResource> {
    const [shown = version] = await this.of(tenantId, [version]);
    return shown;
  }
}
