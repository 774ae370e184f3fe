import type { Ask, Subject } from './limit-store.js';
import type { Charge } from './redis-limiter.js';

interface Debt {
  readonly tenantId: string;
  readonly subject: Subject;
  requests: number;
  tokens: number;
}

/** What a process granted while it was alone, to be told to Redis when that is back. */
export class Owed {
  readonly #debts = new Map<string, Debt>();

  granted(tenantId: string, { subjects, tokens }: Ask): void {
    this.#add(tenantId, subjects, { requests: 1, tokens });
  }

  /** What was reserved but not used is not owed. */
  settled(tenantId: string, { subjects, tokens }: Ask, usedTokens: number): void {
    this.#add(tenantId, subjects, { requests: 0, tokens: usedTokens - tokens });
  }

  /**
   * Takes all debts, by tenant. `spent` tells what a subject has spent lately: of a long time alone, most has been
   * refilled since.
   */
  take(
    spent: (subject: Subject) => { readonly requests: number; readonly tokens: number },
  ): Map<string, Charge[]> {
    const charges = new Map<string, Charge[]>();
    for (const { tenantId, subject, requests, tokens } of this.#debts.values()) {
      const lately = spent(subject);
      const charge = {
        subject,
        requests: Math.max(0, Math.min(requests, lately.requests)),
        tokens: Math.max(0, Math.min(tokens, lately.tokens)),
      };
      charges.set(tenantId, [...(charges.get(tenantId) ?? []), charge]);
    }
    this.#debts.clear();
    return charges;
  }

  #add(tenantId: string, subjects: readonly Subject[], more: { requests: number; tokens: number }): void {
    for (const subject of subjects) {
      const debt = this.#debts.get(subject.id) ?? { tenantId, subject, requests: 0, tokens: 0 };
      debt.requests += more.requests;
      debt.tokens += more.tokens;
      this.#debts.set(subject.id, debt);
    }
  }
}
