import { z } from 'zod';

/** What the browser keeps between the way to the provider and the way back; no script reads it. */
const AttemptSchema = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  next: z.string(),
  expires_ms: z.number(),
});
export type SignInAttempt = z.infer<typeof AttemptSchema>;

const COOKIE = 'lorikeet_sign_in';
export const ATTEMPT_LIFE_S = 600;

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export function attemptOf({ cookie }: Headers): SignInAttempt | undefined {
  if (typeof cookie !== 'string') return undefined;
  const value = new RegExp(`(?:^|;\\s*)${COOKIE}=([\\w-]+)`).exec(cookie)?.[1];
  if (value === undefined) return undefined;
  try {
    const attempt = AttemptSchema.parse(JSON.parse(Buffer.from(value, 'base64url').toString()));
    return Date.now() < attempt.expires_ms ? attempt : undefined;
  } catch {
    return undefined;
  }
}

/** `Set-Cookie` of an attempt; undefined ends it. Lax: it has to come along when the provider sends the browser back. */
export function attemptCookie(attempt: SignInAttempt | undefined, secure: boolean): string {
  const value = attempt ? Buffer.from(JSON.stringify(attempt)).toString('base64url') : '';
  const parts = [
    `${COOKIE}=${value}`,
    'Path=/v1/session/oidc',
    'HttpOnly',
    'SameSite=Lax',
    `Max-Age=${attempt ? ATTEMPT_LIFE_S : 0}`,
  ];
  return [...parts, ...(secure ? ['Secure'] : [])].join('; ');
}

/** A path of the console; anything that leads elsewhere is its first page. */
export function consolePath(next: string | undefined): string {
  const safe = next !== undefined && next.length <= 1000 && /^\/(?![/\\])[^\s\\]*$/.test(next);
  return safe ? next : '/';
}
