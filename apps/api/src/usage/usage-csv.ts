import type { UsageRow } from '#contracts/usage-api.js';

/** A table as RFC 4180 has it: a line of names, then one for each row; what is null is empty. */
export function usageCsv(fields: readonly string[], rows: readonly UsageRow[]): string {
  const lines = rows.map((row) => {
    const values = row as Readonly<Record<string, string | number | null | undefined>>;
    return fields.map((field) => cell(values[field])).join(',');
  });
  return [fields.join(','), ...lines].map((line) => `${line}\r\n`).join('');
}

function cell(value: string | number | null | undefined): string {
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
