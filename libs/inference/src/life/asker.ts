import type { Scope } from '#contracts/admin-api.js';
import type { KnownTenant } from '#accounts/request-caller.js';

/** On whose behalf a request is made, and under which key its usage stands. */
export interface Asker {
  readonly keyId: string;
  readonly tenant: Pick<KnownTenant, 'id' | 'quotas' | 'weight'>;
  /** Absent: it only infers. */
  readonly scopes?: readonly Scope[];
  /** It judges versions before they answer: those that a move holds back answer it too. */
  readonly heldToo?: boolean;
}
