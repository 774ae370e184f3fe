const DAY_MS = 24 * 3600_000;
const DISABLE_AFTER_DAYS = 5;
const GONE = 410;

export interface EndpointHealth {
  readonly enabled: boolean;
  readonly disabledReason: string | null;
  readonly failingSince: Date | null;
}

/** An endpoint's health after an attempt that was answered by `status`, or by nothing. */
export function healthAfter(
  health: EndpointHealth,
  { status, ok }: { readonly status: number | undefined; readonly ok: boolean },
  now: Date,
): EndpointHealth {
  if (ok) return { ...health, failingSince: null };
  const failingSince = health.failingSince ?? now;
  if (!health.enabled) return { ...health, failingSince };
  if (status === GONE) return disabled('It answered 410 Gone.', failingSince);
  if (now.getTime() - failingSince.getTime() < DISABLE_AFTER_DAYS * DAY_MS)
    return { ...health, failingSince };
  return disabled(`Every delivery has failed for ${DISABLE_AFTER_DAYS} days.`, failingSince);
}

function disabled(disabledReason: string, failingSince: Date): EndpointHealth {
  return { enabled: false, disabledReason, failingSince };
}
