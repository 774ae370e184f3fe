import { Badge, Select } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { TenantResource } from '#contracts/admin-api.js';
import type { SessionResource } from '#contracts/session-api.js';
import { useList } from '../api/lists';

/** An operator acts for the tenant chosen here; a tenant's key is always its own. */
export function TenantPicker({ session }: { session: SessionResource }) {
  if (!session.operator || session.viewing) {
    return (
      <Badge variant="light" size="lg" tt="none">
        {session.tenant?.name}
      </Badge>
    );
  }
  return <Picker />;
}

function Picker() {
  const navigate = useNavigate();
  const { tenant } = useSearch({ strict: false }) as { tenant?: string };
  const { rows = [] } = useList<TenantResource>('/v1/admin/tenants', { limit: 1000 });
  const names = rows.map(({ name }) => name);
  return (
    <Select
      aria-label="Tenant"
      placeholder="Choose a tenant"
      data={tenant !== undefined && !names.includes(tenant) ? [tenant, ...names] : names}
      value={tenant ?? null}
      onChange={(name) =>
        void navigate({ to: '.', search: (search) => ({ ...search, tenant: name ?? undefined }) as never })
      }
      searchable
      clearable
      clearButtonProps={{ 'aria-label': 'No tenant' }}
      limit={100}
      w={{ base: 150, sm: 200 }}
      nothingFoundMessage="No tenant by that name"
    />
  );
}
