import {
  type ComponentType,
  createElement,
  lazy,
  type ReactNode,
  Suspense,
  useEffect,
  useState,
} from 'react';

interface FirstUse<P> {
  /** Stands there from the first moment; calls `use` when somebody wants what comes. */
  readonly Light: ComponentType<P & { readonly use: () => void }>;
  readonly load: () => Promise<ComponentType<P>>;
}

/**
 * Something light that becomes `load`'s component, opened, once it is used. Its code comes while the browser has nothing
 * else to do, so that nobody waits for it then.
 */
export function firstUse<P extends object>({ Light, load }: FirstUse<P>): ComponentType<P> {
  const Whole = lazy(async () => ({ default: (await load()) as ComponentType<object> }));
  return function FirstUse(props: P): ReactNode {
    const [used, setUsed] = useState(false);
    useEffect(() => whenIdle(() => void load().catch(() => undefined)), []);
    const light = createElement(Light, { ...props, use: () => setUsed(true) });
    return used ? createElement(Suspense, { fallback: light }, createElement(Whole, props)) : light;
  };
}

/** When the browser has nothing else to do; Safari has no word for that. */
export function whenIdle(work: () => void): () => void {
  if (typeof requestIdleCallback !== 'function') {
    const timer = setTimeout(work, 1_000);
    return () => clearTimeout(timer);
  }
  const request = requestIdleCallback(work, { timeout: 5_000 });
  return () => cancelIdleCallback(request);
}
