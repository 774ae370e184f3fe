import { useRouter, useSearch } from '@tanstack/react-router';
import type { MouseEvent } from 'react';
import type { SessionResource } from '#contracts/session-api.js';
import { BASE, PAGES } from '../addresses';
import { address } from '../api/client';
import { type Place, placesFor } from './places';

/**
 * Links to all pages that this session may see. Anchors of our own: the router's links work out their addresses several
 * times each, and every page would wait for all of them.
 */
export function Navigation({ session, pathname }: { session: SessionResource; pathname: string }) {
  const router = useRouter();
  const { tenant } = useSearch({ strict: false }) as { tenant?: string };
  const places = placesFor(session);
  const linksOf = (group: Place['group']) =>
    places
      .filter((place) => place.group === group)
      .map(({ to, label, icon: Icon }) => (
        <a
          key={to}
          href={address(BASE + to, { tenant })}
          className="place"
          {...(isAt(pathname, to) ? HERE : {})}
          onPointerEnter={() => ahead(to)}
          onFocus={() => ahead(to)}
          onClick={(event) => {
            if (!isPlain(event)) return;
            event.preventDefault();
            void router.navigate({ to });
          }}
        >
          <Icon size={18} aria-hidden />
          {label}
        </a>
      ));
  const run = linksOf('run');
  return (
    <>
      {linksOf('serve')}
      {run.length > 0 && <div className="place-group">Operate</div>}
      {run}
    </>
  );
}

const HERE = { 'aria-current': 'page', 'data-here': true } as const;

const isAt = (pathname: string, to: string): boolean =>
  to === '/' ? pathname === '/' : pathname === to || pathname.startsWith(`${to}/`);

/** A page's files come while somebody makes up their mind; what fails fails again where it is seen. */
const ahead = (to: Place['to']): void => void PAGES[to]().catch(() => undefined);

/** Not one that opens a tab or a window, which is the browser's. */
const isPlain = ({ button, altKey, ctrlKey, metaKey, shiftKey }: MouseEvent): boolean =>
  button === 0 && !altKey && !ctrlKey && !metaKey && !shiftKey;
