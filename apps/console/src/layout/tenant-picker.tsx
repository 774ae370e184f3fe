import { Select } from '@mantine/core';
import type { TenantResource } from '#contracts/admin-api.js';
import { useList } from '../api/lists';
import { useChosenTenant } from '../tenant';

/** All tenants, to be searched. Comes opened: it is there from its field's first use on. */
export function TenantPicker() {
  const [tenant, choose] = useChosenTenant();
  const { rows = [] } = useList<TenantResource>('/v1/admin/tenants', { limit: 1000 });
  const names = rows.map(({ name }) => name);
  return (
    <Select
      aria-label="Tenant"
      autoFocus
      defaultDropdownOpened
      placeholder="Choose a tenant"
      data={tenant !== undefined && !names.includes(tenant) ? [tenant, ...names] : names}
      value={tenant ?? null}
      onChange={(name) => choose(name ?? undefined)}
      searchable
      clearable
      clearButtonProps={{ 'aria-label': 'No tenant' }}
      limit={100}
      w={{ base: 150, sm: 200 }}
      nothingFoundMessage="No tenant by that name"
    />
  );
}
