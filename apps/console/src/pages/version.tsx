import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { VersionResource } from '#contracts/adapters-api.js';
import { address, call, part } from '../api/client';
import { useResidency } from '../api/residency';
import { Author } from '../parts/author';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Download } from '../parts/download';
import { Badge, Group, SimpleGrid, Text, Title } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Facts } from '../parts/facts';
import { Figure } from '../parts/figure';
import { bytes } from '../parts/format';
import { NeedsTenant } from '../parts/needs-tenant';
import { NextSteps } from '../parts/next-steps';
import { Page } from '../parts/page';
import { Places } from '../parts/places';
import { Shell } from '../parts/shell';
import { StateBadge } from '../parts/state-badge';
import { Time } from '../parts/time';
import { useActing } from '../tenant';
import { Derivation } from './derivation';
import { Relatives } from './relatives';
import { Report } from './report';
import { VersionBases } from './version-bases';

export function VersionPage() {
  const { adapter, version } = useParams({ strict: false }) as { adapter: string; version: string };
  return (
    <NeedsTenant>
      <Detail adapter={adapter} version={version} />
    </NeedsTenant>
  );
}

function Detail({ adapter, version }: { adapter: string; version: string }) {
  const { header, readOnly } = useActing();
  const navigate = useNavigate();
  const path = `/v1/adapters/${part(adapter)}/versions/${part(version)}`;
  const { data, error, refetch } = useQuery({
    queryKey: ['version', header, adapter, version],
    queryFn: ({ signal }) =>
      call<VersionResource>(address(path, { include: 'report' }), { tenant: header, signal }),
    refetchInterval: ({ state }) =>
      state.data && ['ready', 'rejected'].includes(state.data.state) ? false : 1_000,
  });
  const remove = async (): Promise<void> => {
    await call(path, { method: 'DELETE', tenant: header });
    await navigate({ to: '/adapters/$adapter', params: { adapter } });
  };
  return (
    <Page
      title={`${adapter}@${version}`}
      about={data?.description ?? undefined}
      actions={
        data && (
          <Group gap="xs">
            <StateBadge state={data.state} />
            {data.state === 'ready' && <NextSteps adapter={adapter} version={data.version} />}
            {!readOnly && (
              <Confirm
                label="Delete"
                title={`Delete ${adapter}@${version}`}
                word={`${adapter}@${version}`}
                run={remove}
              >
                <Text size="sm">Its number is never used again. It is refused while an alias serves it.</Text>
              </Confirm>
            )}
          </Group>
        )
      }
    >
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
      {data && <About version={data} />}
      {data?.failure && <ErrorNote error={new Error(data.failure)} />}
      {data?.state === 'ready' && <Further version={data} />}
      {data?.derivation && <Derivation derivation={data.derivation} />}
      {data && data.bases.length > 0 && <VersionBases bases={data.bases} />}
      {data?.report && <Report report={data.report} state={data.state} />}
    </Page>
  );
}

/** What else can be made of it. */
function Further({ version: { adapter, version } }: { version: VersionResource }) {
  const { readOnly } = useActing();
  const of = `${adapter}@${version}`;
  const derive = (operation: string, label: string) => (
    <Button
      component={Link}
      to="/upload"
      search={{ adapter, from: 'versions', operation, of } as never}
      variant="light"
      size="compact-sm"
    >
      {label}
    </Button>
  );
  return (
    <Group gap="xs" role="group" aria-label="Make of it">
      <Download
        label="Download"
        path={`/v1/adapters/${part(adapter)}/versions/${version}/export`}
        name={`${adapter}-${version}.tar`}
      />
      {!readOnly && (
        <>
          {derive('compose', 'Compose with others')}
          {derive('shrink', 'Shrink')}
          {derive('convert', 'Convert')}
          <Button component={Link} to="/merges" search={{ of } as never} variant="light" size="compact-sm">
            Merge into the base
          </Button>
        </>
      )}
    </Group>
  );
}

function About({ version }: { version: VersionResource }) {
  const places = useResidency(version.adapter, false)?.filter((place) => place.version === version.version);
  const facts: [string, ReactNode][] = [
    ['Digest', version.digest === null ? '–' : <Shell text={version.digest} block={false} key="digest" />],
    ['Base model', version.base_model ?? '–'],
    ['Source', version.source],
    ['Training job', version.training_job ?? '–'],
    ['Made from', <Relatives key="from" relation="ancestor" version={version} />],
    ['Became part of', <Relatives key="to" relation="descendant" version={version} />],
    ['Uploaded by', <Author actor={version.created_by} key="by" />],
    ['Lies on', places ? <Places places={places} key="places" /> : '–'],
    ['Last served', <Time at={version.last_served_at} key="served" />],
    ['Created', <Time at={version.created_at} key="created" />],
    ['Ready', <Time at={version.ready_at} key="ready" />],
  ];
  return (
    <>
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        <Figure label="Rank" value={version.rank ?? '–'} />
        <Figure label="Size" value={bytes(version.bytes)} />
        <Figure
          label="Kinds of modules"
          value={version.modules.length}
          note={version.modules.slice(0, 8).join(', ')}
        />
        <Figure
          label="Parity with PEFT’s formula"
          value={version.parity === null ? 'not checked' : 'checked'}
          note={version.parity === null ? undefined : 'as served, against its weights merged in float64'}
        />
      </SimpleGrid>
      <Facts label="Facts" facts={facts}>
        <Group gap={4} mt="sm">
          {Object.entries(version.labels).map(([key, value]) => (
            <Badge key={key} variant="default">
              {key}={value}
            </Badge>
          ))}
        </Group>
        {Object.keys(version.metrics).length > 0 && (
          <>
            <Title order={2} size="h6" mt="md">
              Metrics of the training
            </Title>
            <Group gap="md" mt={4}>
              {Object.entries(version.metrics).map(([name, value]) => (
                <Text key={name} size="sm">
                  {name} <b>{String(value)}</b>
                </Text>
              ))}
            </Group>
          </>
        )}
      </Facts>
    </>
  );
}
