import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';

/** Keeps the rows whose `labels` have every one of these, each `key` or `key=value`. */
export function whereLabels<T extends ObjectLiteral>(
  query: SelectQueryBuilder<T>,
  label: string | readonly string[] | undefined,
): void {
  for (const [index, filter] of [label ?? []].flat().entries()) {
    const at = filter.indexOf('=');
    if (at < 0) query.andWhere(`${query.alias}.labels ? :key${index}`, { [`key${index}`]: filter });
    else {
      const pair = JSON.stringify({ [filter.slice(0, at)]: filter.slice(at + 1) });
      query.andWhere(`${query.alias}.labels @> :pair${index}::jsonb`, { [`pair${index}`]: pair });
    }
  }
}
