import { MultiSelect, Slider } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import type { PutAlias, ShownAlias } from '#contracts/adapters-api.js';
import { call, part } from '../api/client';
import { Button } from '../parts/button';
import { Group, Stack, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Check, Choice, NumberField, TextField } from '../parts/fields';
import { useActing } from '../tenant';
import { RouteBar } from './route-bar';
import { choose, give, type Traffic, trafficOf } from './traffic';

interface AliasEditorProps {
  readonly adapter: string;
  /** That are ready. */
  readonly versions: readonly number[];
  /** Absent: a new one. */
  readonly alias?: ShownAlias;
  /** A version that shall get a share. */
  readonly canary?: number | undefined;
  readonly done: () => void;
}

/** Which versions get how much of the traffic, who is tried in their shadow, and what makes it go back. */
export function AliasEditor({ adapter, versions, alias, canary, done }: AliasEditorProps) {
  const { header } = useActing();
  const client = useQueryClient();
  const [name, setName] = useState(alias?.name ?? 'production');
  const [traffic, setTraffic] = useState<Traffic>(() => initialTraffic(alias, versions, canary));
  const [guarded, setGuarded] = useState(alias !== undefined);
  const [maxErrors, setMaxErrors] = useState<number | string>(5);
  const [maxTpot, setMaxTpot] = useState<number | string>('');
  const [minRequests, setMinRequests] = useState<number | string>(20);
  const [shadow, setShadow] = useState<string | null>(null);
  const [share, setShare] = useState(10);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const chosen = Object.keys(traffic);
  const routes = chosen
    .map((version) => ({ version: Number(version), weight: traffic[version] ?? 0 }))
    .filter(({ weight }) => weight > 0);
  const save = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await call(`/v1/adapters/${part(adapter)}/aliases/${part(name)}`, {
        method: 'PUT',
        tenant: header,
        headers: alias ? { 'if-match': `"${alias.revision}"` } : { 'if-none-match': '*' },
        body: {
          routes,
          shadow: shadow === null ? null : { version: Number(shadow), share: share / 100 },
          guard: guarded ? guardOf(maxErrors, maxTpot, minRequests) : null,
        } satisfies PutAlias,
      });
      await client.invalidateQueries();
      done();
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  const others = versions.filter((version) => !chosen.includes(String(version))).map(String);
  return (
    <form onSubmit={(event) => void save(event)}>
      <Stack>
        {!alias && (
          <TextField
            label="Name"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            required
          />
        )}
        <MultiSelect
          label="Versions that answer"
          description="Add one to try it on a share of the traffic; leave only one to send it everything."
          data={versions.map(String)}
          value={chosen}
          onChange={(next) => setTraffic(choose(traffic, next))}
          searchable
        />
        {chosen.map((version) => (
          <div key={version}>
            <Text size="sm" fw={500}>
              Version {version}: {traffic[version] ?? 0} % of the requests
            </Text>
            <Slider
              thumbLabel={`Share of version ${version}`}
              value={traffic[version] ?? 0}
              onChange={(share) => setTraffic(give(traffic, version, share))}
              label={(share) => `${share} %`}
              min={0}
              max={100}
              disabled={chosen.length === 1}
            />
          </div>
        ))}
        {routes.length > 0 && <RouteBar routes={routes} />}
        {alias && (
          <Check
            role="switch"
            label="Go back by itself when a version that gets more traffic fails or is slow"
            checked={guarded}
            onChange={(checked) => setGuarded(checked)}
          />
        )}
        {guarded && (
          <Group grow align="flex-start">
            <NumberField
              label="Largest share of errors, %"
              value={maxErrors}
              onChange={setMaxErrors}
              min={0}
              max={99}
            />
            <NumberField
              label="Largest ms per token"
              value={maxTpot}
              onChange={setMaxTpot}
              min={0}
              placeholder="any"
            />
            <NumberField
              label="Judge after so many requests"
              value={minRequests}
              onChange={setMinRequests}
              min={1}
            />
          </Group>
        )}
        <Group grow align="flex-start">
          <Choice
            label="Shadow"
            description="Gets copies of requests; its answers are compared, never returned."
            data={others}
            value={shadow}
            onChange={setShadow}
            none="none"
          />
          {shadow !== null && (
            <NumberField
              label="Share copied, %"
              value={share}
              onChange={(value) => setShare(Number(value))}
              min={1}
              max={100}
            />
          )}
        </Group>
        {error !== undefined && <ErrorNote error={error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={done}>
            Cancel
          </Button>
          <Button type="submit" loading={busy} disabled={routes.length === 0}>
            {alias?.protected ? 'Ask for this change' : alias ? 'Move traffic' : 'Create alias'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** As the alias is, or of a new one the newest version, with the canary added. */
function initialTraffic(
  alias: ShownAlias | undefined,
  versions: readonly number[],
  canary: number | undefined,
): Traffic {
  const [first] = versions.filter((version) => version !== canary);
  const alone = first ?? canary;
  const traffic = alias ? trafficOf(alias.routes) : alone === undefined ? {} : choose({}, [String(alone)]);
  return canary === undefined ? traffic : choose(traffic, [...Object.keys(traffic), String(canary)]);
}

function guardOf(maxErrors: number | string, maxTpot: number | string, minRequests: number | string) {
  return {
    ...(maxErrors === '' ? {} : { max_error_rate: Number(maxErrors) / 100 }),
    ...(maxTpot === '' ? {} : { max_tpot_ms: Number(maxTpot) }),
    min_requests: Number(minRequests) || 20,
    window_s: 600,
  };
}
