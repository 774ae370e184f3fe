import type { Route } from '#contracts/adapters-api.js';
import { Group, Text } from '../parts/elements';

const COLORS = ['#0ca678', '#4dabf7', '#f08c00', '#7950f2', '#e64980', '#82c91e'];

export const shareOf = (route: Route, routes: readonly Route[]): number => {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0);
  return total === 0 ? 0 : route.weight / total;
};

/** Who gets how much of an alias's traffic. */
export function RouteBar({ routes }: { routes: readonly Route[] }) {
  return (
    <div>
      <div className="bar" aria-hidden>
        {routes.map((route, index) => (
          <div
            key={route.version}
            style={{ width: `${shareOf(route, routes) * 100}%`, background: COLORS[index % COLORS.length] }}
          />
        ))}
      </div>
      <Group gap="md" mt={4}>
        {routes.map((route, index) => (
          <Group key={route.version} gap={6}>
            <span
              aria-hidden
              style={{ width: 10, height: 10, borderRadius: 5, background: COLORS[index % COLORS.length] }}
            />
            <Text size="sm">
              version {route.version}: {Number((shareOf(route, routes) * 100).toFixed(1))} %
            </Text>
          </Group>
        ))}
      </Group>
    </div>
  );
}
