import { Navigate } from '@tanstack/react-router';
import { useSession } from '../api/session';
import { placesFor } from '../layout/places';
import { Overview } from './overview';

/** Operators begin with the overview, tenants with the first page that their key may see. */
export function Home() {
  const { data: session } = useSession();
  if (!session) return null;
  const [first] = placesFor(session);
  if (first === undefined || first.to === '/') return <Overview />;
  return <Navigate to={first.to} replace />;
}
