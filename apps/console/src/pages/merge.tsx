import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import type { MergeResource } from '#contracts/merges-api.js';
import { call, part } from '../api/client';
import { Button } from '../parts/button';
import { Confirm } from '../parts/confirm';
import { Download } from '../parts/download';
import { Paper, SimpleGrid, Stack, Text, Title } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { Facts } from '../parts/facts';
import { Figure } from '../parts/figure';
import { bytes, count } from '../parts/format';
import { NeedsTenant } from '../parts/needs-tenant';
import { Page } from '../parts/page';
import { Shell } from '../parts/shell';
import { StateBadge } from '../parts/state-badge';
import { Time } from '../parts/time';
import { VersionLink } from '../parts/version-link';
import { useActing } from '../tenant';
import { isOpen, MergeProgress } from './merges';

const WHILE_OPEN_MS = 1_000;

export function MergePage() {
  const { merge } = useParams({ strict: false }) as { merge: string };
  return (
    <NeedsTenant>
      <Detail id={merge} />
    </NeedsTenant>
  );
}

function Detail({ id }: { id: string }) {
  const { header } = useActing();
  const path = `/v1/merges/${part(id)}`;
  const { data, error, refetch } = useQuery({
    queryKey: ['merge', header, id],
    queryFn: ({ signal }) => call<MergeResource>(path, { tenant: header, signal }),
    refetchInterval: ({ state }) => (state.data && isOpen(state.data) ? WHILE_OPEN_MS : false),
  });
  return (
    <Page
      title={data ? `Merge of ${data.adapter}@${data.version}` : 'Merge'}
      about={data && `Into the weights of ${data.base_model}`}
      actions={data && <Actions merge={data} path={path} />}
    >
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
      {data && isOpen(data) && (
        <Paper p="md" aria-live="polite">
          <MergeProgress merge={data} />
        </Paper>
      )}
      {data?.failure && <ErrorNote error={new Error(data.failure)} />}
      {data?.state === 'expired' && (
        <Text size="sm">
          Its checkpoint has been deleted when its time was over. Merge again for another.
        </Text>
      )}
      {data?.state === 'ready' && <Checkpoint merge={data} path={path} />}
      {data && <About merge={data} />}
    </Page>
  );
}

function Actions({ merge, path }: { merge: MergeResource; path: string }) {
  const { header, readOnly } = useActing();
  const navigate = useNavigate();
  const { adapter, version, state } = merge;
  const remove = async (): Promise<void> => {
    await call(path, { method: 'DELETE', tenant: header });
    await navigate({ to: '/merges' });
  };
  return (
    <>
      <StateBadge state={isOpen(merge) ? `${state} …` : state} />
      {!readOnly && (state === 'failed' || state === 'expired') && (
        <Button
          component={Link}
          to="/merges"
          search={{ of: `${adapter}@${version}` } as never}
          variant="light"
          size="compact-sm"
        >
          Merge again
        </Button>
      )}
      {!readOnly && (
        <Confirm
          label={isOpen(merge) ? 'End it' : 'Delete'}
          title={`${isOpen(merge) ? 'End' : 'Delete'} the merge of ${adapter}@${version}`}
          run={remove}
        >
          <Text size="sm">The version stays as it is; only what was merged of it goes.</Text>
        </Confirm>
      )}
    </>
  );
}

/** What there is to take, and how it is opened. */
function Checkpoint({ merge, path }: { merge: MergeResource; path: string }) {
  const { id, adapter, version, bytes: size, changed, expires_at } = merge;
  const name = `${adapter}-${version}-merged`;
  return (
    <>
      <SimpleGrid cols={{ base: 2, md: 3 }}>
        <Figure label="Archive" value={bytes(size)} note="a tar of one folder" />
        <Figure label="Modules changed" value={count(changed)} />
        <Figure label="Kept until" value={<Time at={expires_at} />} note="then it can be merged again" />
      </SimpleGrid>
      <Paper p="md">
        <Stack gap="sm" align="flex-start">
          <Title order={2} size="h5">
            Take it
          </Title>
          <Download label="Download" path={`${path}/content`} name={`${name}.tar`} />
          <Text size="sm">Or with resuming and its SHA-256 checked:</Text>
          <Shell text={`lorikeet merges pull ${id} ${name}.tar\ntar -xf ${name}.tar`} />
          <Text size="sm">In it lies a folder that Transformers opens:</Text>
          <Shell text={`AutoModelForCausalLM.from_pretrained("${name}")`} />
        </Stack>
      </Paper>
    </>
  );
}

function About({ merge }: { merge: MergeResource }) {
  return (
    <Facts
      label="About this merge"
      facts={[
        ['Version', <VersionLink key="of" adapter={merge.adapter} version={merge.version} />],
        ['Its digest on the base', <Shell key="digest" text={merge.digest} block={false} />],
        ['Base', merge.base_model],
        ['Dequantized', merge.dequantize ? 'to bfloat16' : 'no'],
        ['Base that fits', merge.any_base ? 'any' : 'only the one that is served'],
        ['SHA-256', merge.sha256 === null ? '–' : <Shell key="sha256" text={merge.sha256} block={false} />],
        ['Begun by workers', `${merge.attempts} ${merge.attempts === 1 ? 'time' : 'times'}`],
        ['Ordered', <Time key="created" at={merge.created_at} />],
        ['Ended', <Time key="finished" at={merge.finished_at} />],
      ]}
    />
  );
}
