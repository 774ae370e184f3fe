import { useNavigate, useSearch } from '@tanstack/react-router';
import { useSession } from './api/session';

export interface Acting {
  /** What calls carry as `x-tenant`; undefined for a tenant's own key. */
  readonly header: string | undefined;
  /** The tenant's name; undefined for an operator who has not chosen one. */
  readonly name: string | undefined;
  readonly readOnly: boolean;
}

/** The tenant whose things a page shows: one's own, the one looked as, or the one that the address names. */
export function useActing(): Acting {
  const { data: session } = useSession();
  const { tenant } = useSearch({ strict: false }) as { tenant?: string };
  if (!session) return { header: undefined, name: undefined, readOnly: true };
  if (session.tenant) return { header: undefined, name: session.tenant.name, readOnly: session.viewing };
  return { header: tenant, name: tenant, readOnly: false };
}

/** The tenant that the address names, and how it names another or none. */
export function useChosenTenant(): [string | undefined, (name: string | undefined) => void] {
  const navigate = useNavigate();
  const { tenant } = useSearch({ strict: false }) as { tenant?: string };
  const choose = (name: string | undefined): void =>
    void navigate({ to: '.', search: (search) => ({ ...search, tenant: name }) as never });
  return [tenant, choose];
}
