import { Center, Loader } from '@mantine/core';
import { type ComponentType, lazy, Suspense } from 'react';

/** A part of a page that comes when it is first shown, so that the page does not wait for it. */
export function later<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  const Part = lazy(async () => ({ default: (await load()) as ComponentType<object> }));
  return function Later(props: P) {
    return (
      <Suspense
        fallback={
          <Center p="xl" aria-busy>
            <Loader aria-label="Loading" />
          </Center>
        }
      >
        <Part {...props} />
      </Suspense>
    );
  };
}
