import type { EngineResource } from '#contracts/engines-api.js';
import { Group, Stack, Text } from '../parts/elements';
import { bytes, count, percent } from '../parts/format';

interface Part {
  readonly name: string;
  readonly bytes: number;
  readonly color: string;
}

/** What takes the device's memory, and what of the room for pages and adapters is free. */
function partsOf({ kv, adapters, memory }: EngineResource): Part[] {
  const page = kv.pages === 0 ? 0 : kv.bytes / kv.pages;
  const held = Math.round((kv.pages - kv.free_pages) * page);
  const adapterFree = Math.max(0, adapters.limit_bytes - adapters.bytes);
  return [
    { name: 'Weights', bytes: memory?.weight_bytes ?? 0, color: '#7950f2' },
    { name: 'Scratch', bytes: memory?.scratch_bytes ?? 0, color: '#868e96' },
    { name: 'KV pages held', bytes: held, color: '#0ca678' },
    { name: 'KV pages free', bytes: kv.bytes - held, color: '#96f2d7' },
    { name: 'Adapters', bytes: memory?.adapter_bytes ?? adapters.bytes, color: '#f08c00' },
    { name: 'Room for adapters', bytes: adapterFree, color: '#ffd8a8' },
  ];
}

export function EngineMemory({ engine }: { engine: EngineResource }) {
  const { kv, memory } = engine;
  const parts = partsOf(engine).filter((part) => part.bytes > 0);
  const all = parts.reduce((sum, part) => sum + part.bytes, 0);
  if (all === 0) return null;
  const text = parts.map((part) => `${part.name} ${bytes(part.bytes)}`).join(', ');
  return (
    <Stack gap={4} mb="md" component="section" aria-label="Memory">
      <Text size="sm" fw={600}>
        Memory: {bytes(all)}
        <Text span size="xs" c="dimmed" fw={400}>
          {' '}
          · pages: {count(kv.pages - kv.free_pages)} held, {count(kv.cached_pages)} with a prefix that can be
          found again, {count(kv.pages)} in all{memory === null && ' · weights unknown'}
        </Text>
      </Text>
      <div className="bar" role="img" aria-label={text}>
        {parts.map((part) => (
          <div
            key={part.name}
            title={`${part.name}: ${bytes(part.bytes)}, ${percent(part.bytes / all)}`}
            style={{ width: `${(part.bytes / all) * 100}%`, background: part.color }}
          />
        ))}
      </div>
      <Group gap="md" mt={2}>
        {parts.map((part) => (
          <Group key={part.name} gap={6} wrap="nowrap">
            <span
              aria-hidden
              style={{ width: 10, height: 10, borderRadius: 5, background: part.color, flexShrink: 0 }}
            />
            <Text size="xs">
              {part.name} {bytes(part.bytes)}
            </Text>
          </Group>
        ))}
      </Group>
    </Stack>
  );
}
