import { Link } from '@tanstack/react-router';
import { useModels } from '../api/models';
import { Button } from './button';
import { Group } from './elements';
import { useActing } from '../tenant';

/** What one does with a version that is ready: ask it, compare it, give it traffic. */
export function NextSteps({ adapter, version }: { adapter: string; version: number }) {
  const { readOnly } = useActing();
  const [base] = useModels();
  const model = `${adapter}@${version}`;
  const compared = base === undefined ? model : `${base},${model}`;
  return (
    <Group gap="xs">
      <Button component={Link} to="/playground" search={{ model } as never} variant="light" size="compact-sm">
        Try it
      </Button>
      <Button
        component={Link}
        to="/compare"
        search={{ models: compared } as never}
        variant="light"
        size="compact-sm"
      >
        Compare it
      </Button>
      {!readOnly && (
        <Button
          component={Link}
          to="/adapters/$adapter"
          params={{ adapter } as never}
          search={{ tab: 'aliases', canary: String(version) } as never}
          size="compact-sm"
        >
          Give it traffic
        </Button>
      )}
    </Group>
  );
}
