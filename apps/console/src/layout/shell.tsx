import { useIsFetching } from '@tanstack/react-query';
import { useLocation, useRouterState } from '@tanstack/react-router';
import { type ReactNode, useEffect, useState } from 'react';
import type { SessionResource } from '#contracts/session-api.js';
import icon from '../icon.svg';
import { later } from '../parts/later';
import { AccountButton } from './account-button';
import { Navigation } from './navigation';
import { Outline } from './outline';
import { PaletteButton } from './palette-button';
import { TenantField } from './tenant-field';

const ViewBanner = later(async () => (await import('./view-banner')).ViewBanner);

/**
 * What stands around every page. Plain elements: each page waits for them to be drawn, and what opens from them (menus,
 * dialogs, a list of tenants) comes when it is first used.
 */
export function Shell({ session, children }: { session: SessionResource; children: ReactNode }) {
  const [opened, setOpened] = useState(false);
  const { pathname } = useLocation();
  useEffect(() => setOpened(false), [pathname]);
  const shown = useRouterState({
    select: ({ resolvedLocation }) =>
      resolvedLocation && resolvedLocation.pathname + resolvedLocation.searchStr,
  });
  const busy = useIsFetching({ predicate: ({ state }) => state.status === 'pending' }) > 0;
  return (
    <div className="shell">
      <header>
        <button
          type="button"
          className="shell-button shell-burger"
          aria-label="Menu"
          aria-expanded={opened}
          onClick={() => setOpened(!opened)}
        >
          <Outline d={opened ? 'M6 6l12 12M18 6L6 18' : 'M4 6h16M4 12h16M4 18h16'} />
        </button>
        <img src={icon} width={26} height={26} alt="" />
        <span className="shell-name">Lorikeet</span>
        <PaletteButton session={session} />
        <TenantField session={session} />
        <AccountButton session={session} />
      </header>
      <nav aria-label="Pages" data-opened={opened}>
        <Navigation session={session} pathname={pathname} />
      </nav>
      <main aria-busy={busy} data-address={shown}>
        {session.viewing && <ViewBanner tenant={session.tenant?.name ?? ''} />}
        <div className="shell-page">{children}</div>
      </main>
    </div>
  );
}
