import { Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import type { AdapterResource } from '#contracts/adapters-api.js';
import { call, part } from '../api/client';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Group, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { later } from '../parts/later';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { useActing } from '../tenant';
import { Versions } from './versions';

// Each tab comes when it is opened.
const Aliases = later(async () => (await import('./aliases')).Aliases);
const AdapterUsage = later(async () => (await import('./adapter-usage')).AdapterUsage);
const Shares = later(async () => (await import('./shares')).Shares);

export function AdapterPage() {
  const { adapter } = useParams({ strict: false }) as { adapter: string };
  return (
    <NeedsTenant>
      <Detail key={adapter} adapter={adapter} />
    </NeedsTenant>
  );
}

function Detail({ adapter }: { adapter: string }) {
  const { header, readOnly } = useActing();
  const navigate = useNavigate();
  const { tab = 'versions' } = useSearch({ strict: false }) as { tab?: string };
  const { data, error, refetch } = useQuery({
    queryKey: ['adapter', header, adapter],
    queryFn: ({ signal }) =>
      call<AdapterResource>(`/v1/adapters/${part(adapter)}`, { tenant: header, signal }),
  });
  const remove = async (): Promise<void> => {
    await call(`/v1/adapters/${part(adapter)}`, { method: 'DELETE', tenant: header });
    await navigate({ to: '/adapters' });
  };
  return (
    <Page
      title={adapter}
      about={data?.description ?? undefined}
      actions={
        <Group gap="xs">
          <Button
            component={Link}
            to="/playground"
            search={{ model: adapter } as never}
            variant="light"
            size="compact-sm"
          >
            Try it
          </Button>
          {!readOnly && (
            <>
              <Button component={Link} to="/upload" search={{ adapter } as never} size="compact-sm">
                Upload a version
              </Button>
              <Confirm label="Delete" title={`Delete ${adapter}`} word={adapter} run={remove}>
                <Text size="sm">
                  All its versions and aliases go with it, and callers get 404. It is refused while an alias
                  serves traffic.
                </Text>
              </Confirm>
            </>
          )}
        </Group>
      }
    >
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
      {data && (
        <Tabs
          value={tab}
          onChange={(value) =>
            void navigate({ to: '.', search: (search) => ({ ...search, tab: value ?? undefined }) as never })
          }
          keepMounted={false}
        >
          <Tabs.List mb="md">
            <Tabs.Tab value="versions">Versions</Tabs.Tab>
            <Tabs.Tab value="aliases">Aliases</Tabs.Tab>
            <Tabs.Tab value="usage">Usage</Tabs.Tab>
            <Tabs.Tab value="shares">Sharing</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="versions">
            <Versions adapter={adapter} />
          </Tabs.Panel>
          <Tabs.Panel value="aliases">
            <Aliases adapter={adapter} />
          </Tabs.Panel>
          <Tabs.Panel value="usage">
            <AdapterUsage adapter={adapter} />
          </Tabs.Panel>
          <Tabs.Panel value="shares">
            <Shares adapter={adapter} />
          </Tabs.Panel>
        </Tabs>
      )}
    </Page>
  );
}
