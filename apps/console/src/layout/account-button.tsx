import type { SessionResource } from '#contracts/session-api.js';
import { firstUse } from './first-use';
import { Outline, PERSON } from './outline';

interface AccountProps {
  readonly session: SessionResource;
}

export const AccountButton = firstUse<AccountProps>({
  Light: ({ use }) => (
    <button
      type="button"
      className="shell-button"
      aria-label="Account"
      aria-haspopup="menu"
      aria-expanded={false}
      onClick={use}
    >
      <Outline d={PERSON} />
    </button>
  ),
  load: async () => (await import('./account-menu')).AccountMenu,
});
