import type { EngineResource } from '#contracts/engines-api.js';
import { call, part } from '../api/client';
import { useList } from '../api/lists';
import { Confirm } from '../parts/confirm';
import { Group, Paper, SimpleGrid, Text, Title } from '../parts/elements';
import { Empty } from '../parts/empty';
import { ErrorNote } from '../parts/error-note';
import { Figure } from '../parts/figure';
import { bytes, count, percent } from '../parts/format';
import { later } from '../parts/later';
import { Page } from '../parts/page';
import { StateBadge } from '../parts/state-badge';
import { Time } from '../parts/time';
import { EngineHistory } from './engine-history';
import { EngineMemory } from './engine-memory';
import { Moves, Residency } from './residency';

const WhatFits = later(async () => (await import('./what-fits')).WhatFits);

export function Engines() {
  const list = useList<EngineResource>('/v1/admin/engines', { limit: 100, every_ms: 3_000 });
  return (
    <Page
      title="Engines"
      about="Each is one process with one device, one base model, one KV cache and one pool of adapters."
    >
      {list.error && <ErrorNote error={list.error} retry={() => void list.refetch()} />}
      {list.rows?.length === 0 && (
        <Empty text="No engine is known." command="ENGINE_URLS=http://127.0.0.1:9000" />
      )}
      {list.rows?.map((engine) => (
        <Engine key={engine.id} engine={engine} />
      ))}
      <EngineHistory />
      {list.rows && <WhatFits engines={list.rows} />}
    </Page>
  );
}

function Engine({ engine }: { engine: EngineResource }) {
  const { id, state, base_model, load, kv, adapters, batch } = engine;
  const path = `/v1/admin/engines/${part(id)}`;
  const used = kv.pages - kv.free_pages;
  return (
    <Paper p="md" component="section" aria-label={`Engine ${engine.name ?? id}`}>
      <Group justify="space-between" mb="sm">
        <div>
          <Group gap="xs">
            <Title order={2} size="h4">
              {engine.name ?? id}
            </Title>
            <StateBadge state={state} />
          </Group>
          <Text size="xs" c="dimmed">
            {id} · {engine.device ?? 'unknown device'} · started <Time at={engine.started_at} />
          </Text>
        </div>
        {state === 'draining' ? (
          <Confirm
            label="Take it back"
            color="teal"
            title={`Send requests to ${engine.name ?? id} again`}
            run={() => call(`${path}/undrain`, { method: 'POST' })}
          />
        ) : (
          <Confirm
            label="Drain"
            color="orange"
            title={`Drain ${engine.name ?? id}`}
            disabled={state !== 'ready'}
            run={() => call(`${path}/drain`, { method: 'POST' })}
          >
            <Text size="sm">Running answers end; no new request goes to it.</Text>
          </Confirm>
        )}
      </Group>
      {engine.error !== null && <ErrorNote error={new Error(engine.error)} />}
      {base_model && (
        <Text size="sm" mb="sm">
          {base_model.name} · {base_model.architecture} · weights{' '}
          {base_model.quantization === 'none' ? 'as stored' : base_model.quantization} · context{' '}
          {count(base_model.max_context)} tokens ·{' '}
          <span className="mono">{base_model.digest.slice(0, 12)}</span>
        </Text>
      )}
      <SimpleGrid cols={{ base: 2, md: 4 }} mb="md">
        <Figure
          label="Waiting"
          value={count(load.waiting_requests)}
          note={`${count(load.queued_tokens)} tokens to compute`}
        />
        <Figure
          label="In the batch"
          value={
            batch.max_sequences === null
              ? count(load.running_requests)
              : `${count(load.running_requests)} of ${count(batch.max_sequences)}`
          }
          note={
            batch.rows_per_step === null
              ? `${load.open_streams} streams of this API`
              : `${batch.rows_per_step.toFixed(1)} of ${count(batch.max_step_tokens)} tokens in a step, of late`
          }
        />
        <Figure
          label="KV cache"
          value={percent(kv.pages === 0 ? null : used / kv.pages)}
          note={`${bytes(kv.bytes)}, pages of ${kv.page_tokens} tokens`}
        />
        <Figure label="Adapters" value={bytes(adapters.bytes)} note={`of ${bytes(adapters.limit_bytes)}`} />
      </SimpleGrid>
      <EngineMemory engine={engine} />
      <Residency adapters={adapters} />
      <Moves adapters={adapters} />
    </Paper>
  );
}
