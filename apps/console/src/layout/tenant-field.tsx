import type { SessionResource } from '#contracts/session-api.js';
import { useChosenTenant } from '../tenant';
import { firstUse } from './first-use';
import { Outline } from './outline';

/** An operator acts for the tenant chosen here; a tenant's key is always its own. */
export function TenantField({ session }: { session: SessionResource }) {
  if (session.operator && !session.viewing) return <Picker />;
  return <span className="shell-tenant">{session.tenant?.name}</span>;
}

const Picker = firstUse<object>({
  Light: ({ use }) => {
    const [tenant, choose] = useChosenTenant();
    return (
      <span className="shell-picker">
        <input
          role="combobox"
          aria-label="Tenant"
          aria-haspopup="listbox"
          aria-expanded={false}
          readOnly
          placeholder="Choose a tenant"
          value={tenant ?? ''}
          onFocus={use}
          onClick={use}
        />
        {tenant === undefined ? (
          <Outline d="M8 9l4 -4l4 4M16 15l-4 4l-4 -4" />
        ) : (
          <button type="button" aria-label="No tenant" onClick={() => choose(undefined)}>
            <Outline d="M18 6l-12 12M6 6l12 12" />
          </button>
        )}
      </span>
    );
  },
  load: async () => (await import('./tenant-picker')).TenantPicker,
});
