import type { Actor } from '#contracts/audit-api.js';

const WORDS: Readonly<Record<Actor['type'], string>> = {
  api_key: 'key',
  operator: 'operator',
  person: 'person',
  hook: 'hook',
  system: 'server',
};

/** Who did something, as short as tells them apart; the whole id on hover. */
export function Author({ actor }: { actor: Actor | null }) {
  if (actor === null) return '–';
  const { type, id } = actor;
  return (
    <span title={`${type} ${id}`} className="nowrap">
      {WORDS[type]} {type === id ? '' : id.slice(0, 8)}
    </span>
  );
}
