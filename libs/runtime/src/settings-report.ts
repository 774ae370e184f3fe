import type { SettingResource } from '#contracts/settings-api.js';
import type { Setting, SettingsOf } from './settings.js';

/** The settings with what was read of them, by name; of a secret only whether it is set. */
export function settingsReport<S extends Record<string, Setting<unknown>>>(
  settings: S,
  values: SettingsOf<S>,
): SettingResource[] {
  return Object.entries(settings)
    .map(([key, { name, summary, defaultText, secret, schema }]) => {
      const value = values[key as keyof S] as unknown;
      const unset = schema.safeParse(undefined);
      const changed = !unset.success || textOf(unset.data) !== textOf(value);
      return {
        object: 'setting' as const,
        name,
        summary,
        value: secret ? null : textOf(value),
        default: defaultText,
        changed,
        secret,
      };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(textOf).join(', ');
  return value instanceof URL ? value.href : JSON.stringify(value);
}
