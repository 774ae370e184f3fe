import { useState } from 'react';
import type { EngineResource } from '#contracts/engines-api.js';
import { Button } from '../parts/button';
import { Badge, Group, Stack, Text } from '../parts/elements';
import { bytes, count, milliseconds } from '../parts/format';
import { Time } from '../parts/time';

type Adapters = EngineResource['adapters'];
type Versions = Adapters['host'][number]['versions'];

const nameOf = (versions: Versions, digest: string): string => {
  const [first] = versions;
  return first ? `${first.tenant}/${first.adapter}@${first.version}` : digest.slice(0, 16);
};

const ROWS_AT_ONCE = 25;
/** Of the bar: those that stay the longest; more would be thinner than a pixel. */
const SEGMENTS = 300;

/** Which version lies where: device, host, or on disk alone; who is held there, and who gives way first. */
export function Residency({ adapters }: { adapters: Adapters }) {
  const { resident, host, waiting, bytes: used, limit_bytes: limit } = adapters;
  const [most, setMost] = useState(ROWS_AT_ONCE);
  const next = resident.find(({ requests }) => requests === 0)?.digest;
  const onHost = new Set(host.map(({ digest }) => digest));
  const onDevice = new Set(resident.map(({ digest }) => digest));
  const elsewhere = [
    ...waiting,
    ...host.filter(({ digest }) => !waiting.some((each) => each.digest === digest)),
  ]
    .filter(({ digest }) => !onDevice.has(digest))
    .map((each) => ({ ...each, bytes: undefined, requests: 'requests' in each ? Number(each.requests) : 0 }));
  const all = [...resident.toReversed(), ...elsewhere];
  const rows = all.slice(0, most);
  if (rows.length === 0)
    return (
      <Text size="sm" c="dimmed">
        No adapter is on the device or the host; each is loaded from storage when it is called.
      </Text>
    );
  return (
    <Stack gap="xs">
      <div
        className="bar"
        role="img"
        aria-label={`Adapters fill ${bytes(used)} of ${bytes(limit)} on the device`}
      >
        {resident.slice(-SEGMENTS).map(({ digest, versions, bytes: size, requests }) => (
          <div
            key={digest}
            title={`${nameOf(versions, digest)}, ${bytes(size)}`}
            className="resident"
            data-pinned={requests > 0}
            data-next={digest === next}
            style={{ width: `${limit === 0 ? 0 : (size / limit) * 100}%` }}
          />
        ))}
      </div>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Where versions lie">
        <table className="rows">
          <thead>
            <tr>
              <th>Version</th>
              <th>Lies on</th>
              <th className="numbers">On the device</th>
              <th className="numbers">Requests</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ digest, versions, bytes: size, requests }) => (
              <tr key={digest}>
                <td>
                  <Names versions={versions} digest={digest} />
                </td>
                <td>
                  <Group gap={4} wrap="nowrap">
                    {onDevice.has(digest) && <Where word="device" color="teal" />}
                    {onHost.has(digest) && <Where word="host" color="blue" />}
                    {waiting.some((each) => each.digest === digest) && (
                      <Where word="on its way" color="yellow" />
                    )}
                    {requests > 0 && onDevice.has(digest) && <Where word="pinned" color="gray" />}
                    {digest === next && <Where word="goes first" color="orange" />}
                  </Group>
                </td>
                <td className="numbers">{size === undefined ? '–' : bytes(size)}</td>
                <td className="numbers">{count(requests)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {all.length > rows.length && (
        <Group>
          <Button variant="subtle" size="compact-sm" onClick={() => setMost(most + ROWS_AT_ONCE)}>
            Show more of {count(all.length)}
          </Button>
        </Group>
      )}
      <Text size="xs" c="dimmed">
        Every other version lies in storage alone. Who goes first was used longest ago and is needed by no
        request.
      </Text>
    </Stack>
  );
}

const MOVES = {
  fetch: { word: 'storage → host', color: 'blue' },
  load: { word: 'host → device', color: 'teal' },
  evict: { word: 'off the device', color: 'orange' },
} as const;

/** What moved last between storage, host and device, newest first, with a bar for how long it took. */
export function Moves({ adapters: { moves, load_seconds } }: { adapters: Adapters }) {
  if (moves.length === 0) return null;
  const longest_s = Math.max(...moves.map(({ seconds }) => seconds), 0.001);
  return (
    <section aria-label="Loads">
      <Text size="sm" fw={600} mt="md" mb={4}>
        Loads
        {load_seconds.host !== null && (
          <Text span size="xs" c="dimmed" fw={400}>
            {' '}
            · usually {milliseconds(load_seconds.host * 1000)} from the host
            {load_seconds.storage !== null && <>, {milliseconds(load_seconds.storage * 1000)} from storage</>}
          </Text>
        )}
      </Text>
      <div className="scroll-x moves" tabIndex={0} role="region" aria-label="Load timeline">
        <table className="rows small tight">
          <tbody>
            {moves.map(({ kind, digest, versions, at, seconds, failed }) => (
              <tr key={`${at} ${kind} ${digest}`}>
                <td style={{ width: 110 }}>
                  <Time at={at} />
                </td>
                <td style={{ width: 130 }}>
                  <Where
                    word={failed ? 'failed' : MOVES[kind].word}
                    color={failed ? 'red' : MOVES[kind].color}
                  />
                </td>
                <td>{nameOf(versions, digest)}</td>
                <td style={{ width: 180 }}>
                  {kind !== 'evict' && (
                    <Group gap="xs" wrap="nowrap">
                      <div
                        className="took"
                        style={{ width: `${Math.max(2, (seconds / longest_s) * 80)}px` }}
                      />
                      <span className="nowrap">{milliseconds(seconds * 1000)}</span>
                    </Group>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Names({ versions, digest }: { versions: Versions; digest: string }) {
  if (versions.length === 0) return <span className="mono">{digest.slice(0, 16)}</span>;
  return versions.map(({ tenant, adapter, version }) => (
    <Badge key={`${tenant}/${adapter}@${version}`} variant="default" mr={4}>
      {tenant}/{adapter}@{version}
    </Badge>
  ));
}

function Where({ word, color }: { word: string; color: string }) {
  return (
    <Badge variant="light" color={color} size="sm">
      {word}
    </Badge>
  );
}
