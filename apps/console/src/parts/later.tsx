import { Center, Loader } from '@mantine/core';
import { type ComponentType, lazy, type ReactNode, Suspense } from 'react';

const LOADING = (
  <Center p="xl" aria-busy>
    <Loader aria-label="Loading" />
  </Center>
);

/** A part of a page that comes when it is first shown, so that the page does not wait for it; `waiting` stands there until then. */
export function later<P extends object>(
  load: () => Promise<ComponentType<P>>,
  waiting: ReactNode = LOADING,
): ComponentType<P> {
  const Part = lazy(async () => ({ default: (await load()) as ComponentType<object> }));
  return function Later(props: P) {
    return (
      <Suspense fallback={waiting}>
        <Part {...props} />
      </Suspense>
    );
  };
}
