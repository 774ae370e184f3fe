import { Link } from '@tanstack/react-router';
import type { SessionResource } from '#contracts/session-api.js';
import { type Place, placesFor } from './places';

/** Links to all pages that this session may see. */
export function Navigation({ session, pathname }: { session: SessionResource; pathname: string }) {
  const places = placesFor(session);
  const linksOf = (group: Place['group']) =>
    places
      .filter((place) => place.group === group)
      .map(({ to, label, icon: Icon }) => (
        <Link key={to} to={to} className="place" {...(isAt(pathname, to) ? HERE : {})}>
          <Icon size={18} aria-hidden />
          {label}
        </Link>
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
