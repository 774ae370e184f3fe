import { cloneElement, lazy, type ReactElement, type ReactNode, Suspense, useState } from 'react';

const WholeHint = lazy(async () => ({ default: (await import('./whole-hint')).WholeHint }));

interface HintProps {
  /** Made when somebody wants to read it. */
  readonly label: () => ReactNode;
  readonly children: ReactElement<{ onPointerEnter?: () => void }>;
}

/** More about something, on hover or touch. A page holds hundreds of them, and somebody reads one: it is made then. */
export function Hint({ label, children }: HintProps) {
  const [used, setUsed] = useState(false);
  const light = cloneElement(children, { onPointerEnter: () => setUsed(true) });
  if (!used) return light;
  return (
    <Suspense fallback={light}>
      <WholeHint label={label()}>{children}</WholeHint>
    </Suspense>
  );
}
