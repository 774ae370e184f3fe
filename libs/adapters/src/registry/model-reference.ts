/** What the `model` of a request names: `adapter`, `adapter@3`, `adapter:staging`, each perhaps after `tenant/`. */
export interface ModelReference {
  /** Absent: the caller's own tenant. */
  readonly tenant?: string;
  readonly adapter: string;
  readonly selector:
    | { readonly kind: 'default' }
    | { readonly kind: 'version'; readonly version: number }
    | { readonly kind: 'alias'; readonly alias: string };
}

const NAME = '[A-Za-z0-9][A-Za-z0-9._-]{0,127}';
const FORM = new RegExp(
  `^(?:(?<tenant>${NAME})/)?(?<adapter>${NAME})(?:@(?<version>[1-9][0-9]{0,8})|:(?<alias>${NAME}))?$`,
);

/** Undefined when the text has none of these forms. */
export function parseModelReference(text: string): ModelReference | undefined {
  const parts = FORM.exec(text)?.groups;
  const adapter = parts?.adapter;
  if (!parts || adapter === undefined) return undefined;
  return {
    ...(parts.tenant === undefined ? {} : { tenant: parts.tenant }),
    adapter,
    selector:
      parts.version !== undefined
        ? { kind: 'version', version: Number(parts.version) }
        : parts.alias !== undefined
          ? { kind: 'alias', alias: parts.alias }
          : { kind: 'default' },
  };
}
