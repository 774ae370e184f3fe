import { lazy, type ReactNode, Suspense, useEffect, useState } from 'react';
import { whenIdle } from './idle';

export interface DialogProps {
  readonly opened: boolean;
  readonly close: () => void;
  readonly title: ReactNode;
  /** For forms; a question is narrower. */
  readonly wide?: boolean;
  readonly children: ReactNode;
}

const load = () => import('./whole-dialog');
const WholeDialog = lazy(async () => ({ default: (await load()).WholeDialog }));

/** A dialog is there from its first opening on, and its code from the browser's first idle moment: no page waits for it. */
export function Dialog(props: DialogProps) {
  const [used, setUsed] = useState(props.opened);
  if (props.opened && !used) setUsed(true);
  useEffect(() => whenIdle(() => void load().catch(() => undefined)), []);
  if (!used) return null;
  return (
    <Suspense>
      <WholeDialog {...props} />
    </Suspense>
  );
}
