import type { Residency } from '#contracts/adapters-api.js';
import { Badge, Group } from './elements';

const wordOf = ({ device, host }: Residency) => (device ? 'device' : host ? 'host' : 'on its way');
const COLORS = { device: 'teal', host: 'blue', 'on its way': 'yellow' } as const;

/** Where one version lies now: on which engine's device, or in its host's memory. */
export function Places({ places }: { places: readonly Residency[] }) {
  if (places.length === 0) return 'storage';
  return (
    <Group gap={4} wrap="nowrap">
      {places.map((place) => {
        const word = wordOf(place);
        return (
          <Badge
            key={place.engine}
            title={`${word} of ${place.engine}`}
            variant="light"
            color={COLORS[word]}
            size="sm"
          >
            {places.length === 1 ? word : `${place.engine}: ${word}`}
          </Badge>
        );
      })}
    </Group>
  );
}
