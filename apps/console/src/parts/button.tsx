import type { ComponentPropsWithoutRef, CSSProperties, ElementType } from 'react';

interface ButtonOwn {
  readonly variant?: 'filled' | 'light' | 'default' | 'subtle';
  readonly size?: 'sm' | 'compact-sm' | 'compact-xs';
  readonly color?: string;
  /** It cannot be pressed, and shows that something happens. */
  readonly loading?: boolean;
  readonly fullWidth?: boolean;
}

type ButtonProps<C extends ElementType> = ButtonOwn & { readonly component?: C } & Omit<
    ComponentPropsWithoutRef<C>,
    keyof ButtonOwn | 'component'
  >;

/** A button, or a link that looks like one: plain elements, as elements.tsx says why. */
export function Button<C extends ElementType = 'button'>({
  component,
  variant = 'filled',
  size = 'sm',
  color,
  loading = false,
  fullWidth = false,
  className,
  style,
  ...props
}: ButtonProps<C> & { readonly className?: string; readonly style?: CSSProperties }) {
  const Element: ElementType = component ?? 'button';
  const { disabled, type, ...rest } = props as { disabled?: boolean; type?: string };
  const own =
    component === undefined
      ? { type: type ?? 'button', disabled: disabled === true || loading, ...(loading ? BUSY : {}) }
      : {};
  return (
    <Element
      {...rest}
      {...own}
      className={[
        `button button-${size}`,
        variant === 'default' && 'button-default',
        fullWidth && 'button-full',
        className,
      ]
        .filter(Boolean)
        .join(' ')}
      style={{ ...colorsOf(variant, color), ...style }}
    />
  );
}

const BUSY = { 'aria-busy': true } as const;

/** The colours of the library for that variant; undefined: as the style sheet has them. */
function colorsOf(variant: ButtonOwn['variant'], color: string | undefined): object | undefined {
  if (variant === 'default' || (variant === 'filled' && color === undefined)) return undefined;
  const name = color ?? 'teal';
  if (variant === 'filled')
    return {
      '--button-paint': `var(--mantine-color-${name}-filled)`,
      '--button-hover': `var(--mantine-color-${name}-filled-hover)`,
    };
  return {
    '--button-ink': `var(--mantine-color-${name}-light-color)`,
    '--button-paint': variant === 'light' ? `var(--mantine-color-${name}-light)` : 'transparent',
    '--button-hover': `var(--mantine-color-${name}-light-hover)`,
  };
}
