import type { RowStep } from '#stores/history-range.js';
import type { EntityManager } from 'typeorm';
import { COUNTS, type Figures, HISTOGRAMS } from './figures.js';

/** The tenant of rows that hold every tenant's requests; only with ALL_ADAPTERS. */
export const ALL_TENANTS = '00000000-0000-0000-0000-000000000000';
/** In place of an adapter's name, none of which begins so. */
export const ALL_ADAPTERS = '*';
export const BASE = '-';
export const OTHER_ADAPTERS = '+';

/** Named as the columns of request_figures. */
export interface FigureRow extends Figures {
  readonly tenant_id: string;
  readonly served: string;
  readonly step: RowStep;
  readonly at: string;
}

/** Adds to the rows that are there; part of the transaction of `manager`. */
export async function writeFigures(manager: EntityManager, rows: readonly FigureRow[]): Promise<void> {
  if (rows.length > 0) await manager.query(ADD, [JSON.stringify(rows)]);
}

const KEY = ['tenant_id', 'served', 'step', 'at'];
const COLUMNS = [...KEY, 'error_codes', ...COUNTS, ...HISTOGRAMS].join(', ');
const ADDED = [
  ...COUNTS.map((name) => `${name} = request_figures.${name} + excluded.${name}`),
  ...HISTOGRAMS.map((name) => `${name} = add_histograms(request_figures.${name}, excluded.${name})`),
  'error_codes = add_counts(request_figures.error_codes, excluded.error_codes)',
];
const ADD = `
  INSERT INTO request_figures (${COLUMNS})
  SELECT ${COLUMNS} FROM jsonb_populate_recordset(NULL::request_figures, $1::jsonb)
  ON CONFLICT (${KEY.join(', ')}) DO UPDATE SET ${ADDED.join(', ')}`;
