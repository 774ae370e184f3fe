import { useQueryClient } from '@tanstack/react-query';
import { call } from '../api/client';
import { Confirm } from '../parts/confirm';
import { Text } from '../parts/elements';
import { useActing } from '../tenant';

interface ProtectionProps {
  /** Of the alias. */
  readonly path: string;
  readonly alias: string;
  readonly isProtected: boolean;
  readonly done: () => void;
}

/** Says whether each change of an alias needs a second person. */
export function Protection({ path, alias, isProtected, done }: ProtectionProps) {
  const { header } = useActing();
  const client = useQueryClient();
  const change = async (): Promise<void> => {
    const body = { protected: !isProtected };
    await call(`${path}/protection`, { method: 'PUT', tenant: header, body });
    await client.invalidateQueries({ queryKey: ['list'] });
    done();
  };
  return (
    <Confirm
      label={isProtected ? 'End protection' : 'Protect'}
      color="gray"
      title={isProtected ? `End the protection of ${alias}` : `Protect ${alias}`}
      run={change}
    >
      <Text size="sm">
        {isProtected
          ? 'Another key or person has to approve this, too, unless an operator asks for it.'
          : 'From then on each change waits until another key or person approves it: moving, rolling back, deleting, and ending the protection. A guard still goes back by itself.'}
      </Text>
    </Confirm>
  );
}
