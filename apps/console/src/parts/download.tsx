import { useMutation } from '@tanstack/react-query';
import { request } from '../api/client';
import { useActing } from '../tenant';
import { Button } from './button';
import { ErrorNote } from './error-note';
import { saveFile } from './save-file';

interface DownloadProps {
  readonly label: string;
  readonly path: string;
  /** Of the file. */
  readonly name: string;
}

/**
 * Saves what the API gives at a path. A tenant's session follows a link, and the browser saves what comes as it comes; no
 * link could say for which tenant an operator asks, so what an operator saves is gathered in the browser first.
 */
export function Download({ label, path, name }: DownloadProps) {
  const { header } = useActing();
  const save = useMutation({
    mutationFn: async () => (await request(path, { tenant: header })).blob(),
    onSuccess: (file) => saveFile(file, name),
  });
  if (header === undefined)
    return (
      <Button component="a" href={path} download={name} variant="light" size="compact-sm">
        {label}
      </Button>
    );
  return (
    <>
      <Button variant="light" size="compact-sm" loading={save.isPending} onClick={() => save.mutate()}>
        {label}
      </Button>
      {save.error && <ErrorNote error={save.error} />}
    </>
  );
}
