import { AppError } from '#runtime/app-error.js';

const SESSION_COOKIE = 'lorikeet_session';
/** A header that no form and no foreign page can set without asking first (CORS): what changes something must carry it. */
const CONSOLE_HEADER = 'x-lorikeet-console';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** The session's secret in a request's cookies. */
export function sessionSecretOf(headers: Headers): string | undefined {
  const { cookie } = headers;
  if (typeof cookie !== 'string') return undefined;
  for (const pair of cookie.split(';')) {
    const [name, value] = pair.split('=', 2);
    if (name?.trim() === SESSION_COOKIE && value) return value.trim();
  }
  return undefined;
}

export const isRead = (method: string): boolean => ['GET', 'HEAD', 'OPTIONS'].includes(method);

/** A browser sends cookies on its own; only the console itself may change something with them. */
export function refuseForeign(method: string, headers: Headers): void {
  const site = headers['sec-fetch-site'];
  const foreign = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (!foreign && (isRead(method) || headers[CONSOLE_HEADER] !== undefined)) return;
  throw new AppError('insufficient_scope', {
    message: `A console session may only be used by the console: the header ${CONSOLE_HEADER} is missing, or the request comes from another site.`,
  });
}

/** `Set-Cookie` of a session that lasts `maxAge_s`; 0 ends it. */
export function sessionCookie(secret: string, maxAge_s: number, secure: boolean): string {
  const parts = [
    `${SESSION_COOKIE}=${secret}`,
    'Path=/',
    'HttpOnly',
    'SameSite=Strict',
    `Max-Age=${maxAge_s}`,
  ];
  return [...parts, ...(secure ? ['Secure'] : [])].join('; ');
}
