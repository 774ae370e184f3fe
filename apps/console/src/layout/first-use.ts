import {
  type ComponentType,
  createElement,
  lazy,
  type ReactNode,
  Suspense,
  useEffect,
  useState,
} from 'react';
import { whenIdle } from '../parts/idle';

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
