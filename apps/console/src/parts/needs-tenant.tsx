import type { ReactNode } from 'react';
import { useActing } from '../tenant';
import { Empty } from './empty';

/** An operator chooses a tenant before a page of tenants' things can show any. */
export function NeedsTenant({ children }: { children: ReactNode }) {
  const { name } = useActing();
  if (name === undefined) return <Empty text="Choose the tenant to act for, at the top of the page." />;
  return <>{children}</>;
}
