import type { CSSProperties, HTMLAttributes, ReactNode } from 'react';

/**
 * What every page is made of, as plain elements with the library's sizes and colours (elements.css). A page has hundreds of
 * them, and each of the library's own would work out its classes and styles anew before anything is seen.
 */

type Size = 'xs' | 'sm' | 'md' | 'lg' | 'xl';
/** One of the library's distances, or pixels. */
type Space = Size | number;

export interface Placed {
  readonly p?: Space | undefined;
  readonly py?: Space | undefined;
  readonly pt?: Space | undefined;
  readonly mt?: Space | undefined;
  readonly mb?: Space | undefined;
  readonly mr?: Space | undefined;
  readonly h?: number | undefined;
  readonly w?: number | string | undefined;
  readonly flex?: number | undefined;
  readonly maw?: number | string | undefined;
  readonly miw?: number | undefined;
}

type Rest = Omit<HTMLAttributes<HTMLElement>, 'title'> & {
  readonly title?: string;
  readonly component?: 'div' | 'p' | 'section' | 'span' | 'main';
};

const spaceOf = (space: Space | undefined): CSSProperties['padding'] =>
  typeof space === 'string' ? `var(--mantine-spacing-${space})` : space;

const NAMES = {
  p: 'padding',
  py: 'paddingBlock',
  pt: 'paddingTop',
  mt: 'marginTop',
  mb: 'marginBottom',
  mr: 'marginRight',
} as const;
const LENGTHS = { h: 'height', w: 'width', flex: 'flex', maw: 'maxWidth', miw: 'minWidth' } as const;

/** Splits where something stands from what it is. */
export function placed<P extends Placed & Pick<Rest, 'style'>>(
  props: P,
): { style: CSSProperties; rest: Omit<P, keyof Placed | 'style'> } {
  const { p, py, pt, mt, mb, mr, h, w, flex, maw, miw, style, ...rest } = props;
  const found: Record<string, unknown> = {};
  const spaces = { p, py, pt, mt, mb, mr };
  for (const [name, css] of Object.entries(NAMES)) {
    const space = spaces[name as keyof typeof NAMES];
    if (space !== undefined) found[css] = spaceOf(space);
  }
  const lengths = { h, w, flex, maw, miw };
  for (const [name, css] of Object.entries(LENGTHS)) {
    const length = lengths[name as keyof typeof LENGTHS];
    if (length !== undefined) found[css] = length;
  }
  return { style: { ...found, ...style }, rest };
}

const classes = (...names: (string | false | undefined)[]): string => names.filter(Boolean).join(' ');

interface TextProps extends Rest, Placed {
  readonly size?: Size;
  readonly c?: 'dimmed' | 'red';
  readonly fw?: number;
  readonly fz?: number;
  readonly lh?: number;
  readonly ta?: 'center';
  readonly tt?: 'uppercase';
  readonly lineClamp?: 1 | 2;
  readonly truncate?: boolean;
  readonly span?: boolean;
}

export function Text({
  size = 'md',
  c,
  fw,
  fz,
  lh,
  ta,
  tt,
  lineClamp,
  truncate,
  span,
  component,
  className,
  ...props
}: TextProps) {
  const Element = component ?? (span === true ? 'span' : 'p');
  const { style, rest } = placed(props);
  const own: CSSProperties = {
    ...(fw === undefined ? {} : { fontWeight: fw }),
    ...(fz === undefined ? {} : { fontSize: fz }),
    ...(lh === undefined ? {} : { lineHeight: lh }),
    ...(ta === undefined ? {} : { textAlign: ta }),
    ...(tt === undefined ? {} : { textTransform: tt }),
  };
  return (
    <Element
      {...rest}
      className={classes(
        `text text-${size}`,
        c === 'dimmed' && 'dimmed',
        c === 'red' && 'wrong',
        lineClamp !== undefined && `clamp-${lineClamp}`,
        truncate === true && 'truncate',
        className,
      )}
      style={{ ...own, ...style }}
    />
  );
}

interface TitleProps extends Rest, Placed {
  readonly order: 1 | 2 | 3;
  readonly size: 'h2' | 'h4' | 'h5' | 'h6';
}

export function Title({ order, size, className, ...props }: TitleProps) {
  const Element = `h${order}` as const;
  const { style, rest } = placed(props);
  return <Element {...rest} className={classes(`title title-${size}`, className)} style={style} />;
}

interface GroupProps extends Rest, Placed {
  readonly gap?: Space;
  readonly justify?: 'space-between' | 'flex-end' | 'center';
  readonly align?: 'flex-start' | 'flex-end';
  readonly wrap?: 'nowrap';
  /** They share the width in equal parts. */
  readonly grow?: boolean;
}

/** Side by side. */
export function Group({
  gap,
  justify,
  align,
  wrap,
  grow,
  component = 'div',
  className,
  ...props
}: GroupProps) {
  const { style, rest } = placed(props);
  const Element = component;
  return (
    <Element
      {...rest}
      className={classes('group', grow === true && 'group-grow', className)}
      style={{
        ...(gap === undefined ? {} : { gap: spaceOf(gap) }),
        ...(justify === undefined ? {} : { justifyContent: justify }),
        ...(align === undefined ? {} : { alignItems: align }),
        ...(wrap === undefined ? {} : { flexWrap: wrap }),
        ...style,
      }}
    />
  );
}

interface StackProps extends Rest, Placed {
  readonly gap?: Space;
  readonly align?: 'flex-start' | 'center';
}

/** One below the other. */
export function Stack({ gap, align, component = 'div', className, ...props }: StackProps) {
  const { style, rest } = placed(props);
  const Element = component;
  return (
    <Element
      {...rest}
      className={classes('stack', className)}
      style={{
        ...(gap === undefined ? {} : { gap: spaceOf(gap) }),
        ...(align === undefined ? {} : { alignItems: align }),
        ...style,
      }}
    />
  );
}

/** A sheet with a border. */
export function Paper({ component = 'div', className, ...props }: Rest & Placed) {
  const { style, rest } = placed(props);
  const Element = component;
  return <Element {...rest} className={classes('paper', className)} style={style} />;
}

interface GridProps extends Rest, Placed {
  /** Columns from each width of the window on. */
  readonly cols: Readonly<Partial<Record<'base' | 'xs' | 'sm' | 'md', number>>>;
}

export function SimpleGrid({ cols, className, ...props }: GridProps) {
  const { style, rest } = placed(props);
  const columns = Object.fromEntries(
    Object.entries(cols).map(([from, number]) => [`--cols-${from}`, number]),
  );
  return <div {...rest} className={classes('grid', className)} style={{ ...columns, ...style }} />;
}

interface BadgeProps extends Omit<Rest, 'component'>, Pick<Placed, 'mr'> {
  readonly color?: string;
  readonly variant?: 'light' | 'filled' | 'default';
  readonly size?: 'xs' | 'sm' | 'md';
  readonly leftSection?: ReactNode;
}

/** A word in its colour. */
export function Badge({
  color = 'teal',
  variant = 'light',
  size = 'md',
  leftSection,
  className,
  children,
  ...props
}: BadgeProps) {
  const { style, rest } = placed(props);
  const colors: CSSProperties =
    variant === 'light'
      ? {
          background: `var(--mantine-color-${color}-light)`,
          color: `var(--mantine-color-${color}-light-color)`,
        }
      : {};
  return (
    <span
      {...rest}
      className={classes(`badge badge-${size}`, variant !== 'light' && `badge-${variant}`, className)}
      style={{ ...colors, ...style }}
    >
      {leftSection}
      {children}
    </span>
  );
}
