import { type InputHTMLAttributes, type ReactNode, type TextareaHTMLAttributes, useId } from 'react';
import { type Placed, placed } from './elements';

/** The browser's own fields under a label, drawn as the library's: those cost a page more than all else that it shows. */

interface FieldOwn extends Placed {
  /** Absent: `aria-label` says it. */
  readonly label?: ReactNode;
  readonly description?: ReactNode;
  readonly error?: ReactNode;
  readonly size?: 'xs' | undefined;
  /** Of the whole. */
  readonly title?: string | undefined;
  readonly required?: boolean;
}

interface FrameProps extends FieldOwn {
  readonly id: string;
  readonly children: ReactNode;
}

function Frame({
  id,
  label,
  description,
  error,
  size,
  title,
  required = false,
  children,
  ...place
}: FrameProps) {
  const { style } = placed(place);
  return (
    <div className={size === 'xs' ? 'field field-xs' : 'field'} style={style} title={title}>
      {label !== undefined && (
        <label htmlFor={id}>
          {label}
          {required && (
            <span className="field-required" aria-hidden>
              {' '}
              *
            </span>
          )}
        </label>
      )}
      {description !== undefined && <p id={`${id}-about`}>{description}</p>}
      {children}
      {Boolean(error) && (
        <p id={`${id}-wrong`} className="wrong">
          {error}
        </p>
      )}
    </div>
  );
}

/** What frames a field, and what is the field's own. */
function split<P extends FieldOwn>(props: P, id: string) {
  const {
    label,
    description,
    error,
    size,
    title,
    required = false,
    p,
    py,
    pt,
    mt,
    mb,
    mr,
    h,
    w,
    flex,
    maw,
    miw,
    ...own
  } = props;
  const described = [description !== undefined && `${id}-about`, Boolean(error) && `${id}-wrong`].filter(
    Boolean,
  );
  return {
    frame: { label, description, error, size, title, required, p, py, pt, mt, mb, mr, h, w, flex, maw, miw },
    own: {
      ...own,
      id,
      required,
      ...(described.length === 0 ? {} : { 'aria-describedby': described.join(' ') }),
      ...(error ? { 'aria-invalid': true } : {}),
    },
  };
}

type TextFieldProps = FieldOwn &
  Omit<InputHTMLAttributes<HTMLInputElement>, 'size'> & {
    /** What it offers; anything else can be typed. */
    readonly offers?: readonly string[];
  };

export function TextField({ offers, ...props }: TextFieldProps) {
  const id = useId();
  const { frame, own } = split(props, id);
  return (
    <Frame id={id} {...frame}>
      <input {...own} {...(offers === undefined ? {} : { list: `${id}-offers` })} />
      {offers !== undefined && (
        <datalist id={`${id}-offers`}>
          {offers.map((offer) => (
            <option key={offer} value={offer} />
          ))}
        </datalist>
      )}
    </Frame>
  );
}

type NumberFieldProps = FieldOwn &
  Omit<InputHTMLAttributes<HTMLInputElement>, 'size' | 'value' | 'onChange'> & {
    readonly value: number | string;
    /** A number, or nothing: ''. */
    readonly onChange: (value: number | '') => void;
    readonly allowDecimal?: boolean;
  };

export function NumberField({ onChange, allowDecimal = true, step, ...props }: NumberFieldProps) {
  const id = useId();
  const { frame, own } = split(props, id);
  return (
    <Frame id={id} {...frame}>
      <input
        {...own}
        type="number"
        step={step ?? (allowDecimal ? 'any' : 1)}
        onChange={({ currentTarget: { value, valueAsNumber } }) =>
          onChange(value === '' ? '' : valueAsNumber)
        }
      />
    </Frame>
  );
}

type Option = string | { readonly value: string; readonly label: string };

interface ChoiceProps extends FieldOwn {
  readonly data: readonly Option[];
  readonly value: string | null;
  readonly onChange: (value: string | null) => void;
  /** Nothing may be chosen, which is called so. */
  readonly none?: string;
  readonly 'aria-label'?: string;
  readonly 'data-autofocus'?: boolean;
}

/** One of several. */
export function Choice({ data, value, onChange, none, ...props }: ChoiceProps) {
  const id = useId();
  const { frame, own } = split(props, id);
  return (
    <Frame id={id} {...frame}>
      <select
        {...own}
        value={value ?? ''}
        onChange={({ currentTarget: { value: chosen } }) => onChange(chosen === '' ? null : chosen)}
      >
        {(none !== undefined || value === null) && <option value="">{none ?? ''}</option>}
        {data.map((option) => {
          const each = typeof option === 'string' ? { value: option, label: option } : option;
          return (
            <option key={each.value} value={each.value}>
              {each.label}
            </option>
          );
        })}
      </select>
    </Frame>
  );
}

type GrowingTextProps = FieldOwn &
  Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, 'rows'> & {
    readonly minRows: number;
    readonly maxRows: number;
    readonly monospace?: boolean;
  };

/** Above and below the lines: padding and border. */
const EDGES = '14px';

/**
 * A field as high as its text. The browser's own measure (`field-sizing`), since a script's makes it lay the page out twice
 * before anything is seen; where it has none, the field is drawn larger at its corner.
 */
export function GrowingText({ minRows, maxRows, monospace = false, ...props }: GrowingTextProps) {
  const id = useId();
  const { frame, own } = split(props, id);
  return (
    <Frame id={id} {...frame}>
      <textarea
        {...own}
        rows={minRows}
        {...(monospace ? { className: 'mono' } : {})}
        style={{
          fieldSizing: 'content',
          minHeight: `calc(${minRows}lh + ${EDGES})`,
          maxHeight: `calc(${maxRows}lh + ${EDGES})`,
        }}
      />
    </Frame>
  );
}

interface CheckProps {
  readonly label: ReactNode;
  readonly description?: ReactNode;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  /** Drawn as a switch: it counts at once, not when a form is sent. */
  readonly role?: 'switch';
}

export function Check({ label, description, checked, onChange, role }: CheckProps) {
  const id = useId();
  return (
    <div className="check">
      <input
        id={id}
        type="checkbox"
        {...(role === undefined ? {} : { role })}
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
        {...(description === undefined ? {} : { 'aria-describedby': `${id}-about` })}
      />
      <label htmlFor={id}>{label}</label>
      {description !== undefined && <p id={`${id}-about`}>{description}</p>}
    </div>
  );
}
