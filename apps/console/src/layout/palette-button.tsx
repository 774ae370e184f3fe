import { useHotkeys } from '@mantine/hooks';
import { lazy, Suspense, useEffect, useState } from 'react';
import type { SessionResource } from '#contracts/session-api.js';
import { whenIdle } from '../parts/idle';
import { Outline } from './outline';

const load = () => import('./palette');
const Palette = lazy(async () => ({ default: (await load()).Palette }));

/** Ctrl-K: any page and any adapter. */
export function PaletteButton({ session }: { session: SessionResource }) {
  const [used, setUsed] = useState(false);
  const [opened, setOpened] = useState(false);
  const open = (): void => {
    setUsed(true);
    setOpened(true);
  };
  useEffect(() => whenIdle(() => void load().catch(() => undefined)), []);
  useHotkeys([['mod+K', open]], []);
  return (
    <>
      <button
        type="button"
        className="shell-button"
        aria-label="Go to"
        title="Go to … (Ctrl K)"
        onClick={open}
      >
        <Outline d="M10 10m-7 0a7 7 0 1 0 14 0a7 7 0 1 0 -14 0M21 21l-6 -6" />
      </button>
      {used && (
        <Suspense>
          <Palette session={session} opened={opened} close={() => setOpened(false)} />
        </Suspense>
      )}
    </>
  );
}
