import { Tooltip } from '@mantine/core';
import type { ReactElement, ReactNode } from 'react';

/** Comes opened: somebody points at what it explains. */
export function WholeHint({ label, children }: { label: ReactNode; children: ReactElement }) {
  return (
    <Tooltip label={label} multiline defaultOpened events={{ hover: true, focus: true, touch: true }}>
      {children}
    </Tooltip>
  );
}
