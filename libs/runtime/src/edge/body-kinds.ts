import { RouteConfig } from '@nestjs/platform-fastify';

/**
 * How the body of a route is read. `json`: small, parsed (the rule for routes that say nothing); `prompt`: JSON that may
 * be large; `signed`: as bytes, for a signature; `files`: streamed by the handler, or small JSON instead; `octets`:
 * streamed by the handler.
 */
export type BodyKind = 'json' | 'prompt' | 'signed' | 'files' | 'octets';

export interface BodyRoute {
  readonly body?: BodyKind;
  /** Members of the outermost object whose numbers keep their spelling, as RawJson where JavaScript has another. */
  readonly verbatim?: readonly string[];
}

/** Decorates a handler whose body is no small JSON. */
export const TakesBody = (kind: BodyKind, rest: Omit<BodyRoute, 'body'> = {}): MethodDecorator =>
  RouteConfig({ ...rest, body: kind });

/** The largest body of each kind that is held in memory. */
export type BodyLimits = Readonly<Record<'json' | 'prompt' | 'signed', number>>;

export const BODY_LIMITS: BodyLimits = { json: 256 * 1024, prompt: 4 * 2 ** 20, signed: 2 ** 20 };

/** Media types that each kind takes. */
const TYPES: Readonly<Record<BodyKind, readonly RegExp[]>> = {
  json: [/^application\/([\w.+-]+\+)?json$/],
  prompt: [/^application\/([\w.+-]+\+)?json$/],
  signed: [/^/],
  files: [/^application\/json$/, /^multipart\/form-data$/],
  octets: [/^application\/offset\+octet-stream$/],
};

export function takesType(kind: BodyKind, mediaType: string): boolean {
  return TYPES[kind].some((type) => type.test(mediaType));
}

/** What to send instead, for the answer 415. */
export const EXPECTED_TYPE: Readonly<Record<BodyKind, string>> = {
  json: 'application/json',
  prompt: 'application/json',
  signed: 'application/json',
  files: 'multipart/form-data or application/json',
  octets: 'application/offset+octet-stream',
};
