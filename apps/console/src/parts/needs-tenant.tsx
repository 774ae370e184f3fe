import { useNavigate } from '@tanstack/react-router';
import { type ReactNode, useEffect } from 'react';
import type { TenantResource } from '#contracts/admin-api.js';
import { useList } from '../api/lists';
import { useActing } from '../tenant';
import { Button } from './button';
import { Group } from './elements';
import { Empty } from './empty';

const OFFERED = 12;

/** An operator chooses a tenant before a page of tenants' things can show any; the only one there is chooses itself. */
export function NeedsTenant({ children }: { children: ReactNode }) {
  const { name } = useActing();
  return name === undefined ? <Choice /> : <>{children}</>;
}

function Choice() {
  const navigate = useNavigate();
  const { rows, hasNextPage } = useList<TenantResource>('/v1/admin/tenants', { limit: OFFERED });
  const only = rows?.length === 1 ? rows[0]?.name : undefined;
  const choose = (tenant: string, replace = false): void =>
    void navigate({ to: '.', search: (before) => ({ ...before, tenant }) as never, replace });
  useEffect(() => {
    if (only !== undefined) choose(only, true);
    // It chooses once, when the list has come.
  }, [only]);
  if (rows === undefined || only !== undefined) return null;
  const more = hasNextPage ? ' Others are in the list at the top of the page.' : '';
  return (
    <Empty
      text={
        rows.length === 0
          ? 'There is no tenant yet: make one under Tenants and keys.'
          : `For which tenant?${more}`
      }
      action={
        <Group gap="xs" justify="center">
          {rows.map(({ name }) => (
            <Button key={name} variant="light" size="compact-sm" onClick={() => choose(name)}>
              {name}
            </Button>
          ))}
        </Group>
      }
    />
  );
}
