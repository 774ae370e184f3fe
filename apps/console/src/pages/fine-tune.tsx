import { Tabs } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { later } from '../parts/later';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';

// Each tab comes when it is opened.
const Endpoints = later(async () => (await import('./endpoints')).Endpoints);
const FineTuneJobs = later(async () => (await import('./fine-tune-jobs')).FineTuneJobs);
const Hooks = later(async () => (await import('./hooks')).Hooks);
const Trainers = later(async () => (await import('./trainers')).Trainers);

export function FineTune() {
  const navigate = useNavigate();
  const { tab = 'hooks' } = useSearch({ strict: false }) as { tab?: string };
  return (
    <Page
      title="Fine-tune"
      about="Pipelines announce what they trained by a signed webhook; the version is fetched, validated and, if you wish, promoted."
    >
      <NeedsTenant>
        <Tabs
          value={tab}
          onChange={(value) =>
            void navigate({ to: '.', search: (before) => ({ ...before, tab: value ?? undefined }) as never })
          }
          keepMounted={false}
        >
          <Tabs.List mb="md">
            <Tabs.Tab value="hooks">Hooks</Tabs.Tab>
            <Tabs.Tab value="jobs">Jobs</Tabs.Tab>
            <Tabs.Tab value="trainers">Trainers</Tabs.Tab>
            <Tabs.Tab value="endpoints">Outgoing webhooks</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="hooks">
            <Hooks />
          </Tabs.Panel>
          <Tabs.Panel value="jobs">
            <FineTuneJobs />
          </Tabs.Panel>
          <Tabs.Panel value="trainers">
            <Trainers />
          </Tabs.Panel>
          <Tabs.Panel value="endpoints">
            <Endpoints />
          </Tabs.Panel>
        </Tabs>
      </NeedsTenant>
    </Page>
  );
}
