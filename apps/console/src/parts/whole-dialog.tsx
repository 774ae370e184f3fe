import { Modal } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { DialogProps } from './dialog';

/** Opens after it has come: only then does the library give the focus back to where it was. */
export function WholeDialog({ opened, close, title, wide = false, children }: DialogProps) {
  const [shown, setShown] = useState(false);
  useEffect(() => setShown(opened), [opened]);
  return (
    <Modal
      opened={shown}
      onClose={close}
      title={title}
      {...(wide ? { size: 'lg' } : {})}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {children}
    </Modal>
  );
}
