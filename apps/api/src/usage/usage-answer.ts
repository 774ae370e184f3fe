import type { FastifyReply, FastifyRequest } from 'fastify';
import type { UsageReport } from '#accounts/usage-reports.service.js';
import type { UsageList, UsageQuery } from '#contracts/usage-api.js';
import { usageCsv } from './usage-csv.js';

/** The report in the form that was asked for. */
export function usageAnswer(
  { list, fields }: UsageReport,
  { format }: Pick<UsageQuery, 'format'>,
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
): UsageList | string {
  const asked = format ?? (/\btext\/csv\b/i.test(request.headers.accept ?? '') ? 'csv' : 'json');
  if (asked === 'json') return list;
  void reply.type('text/csv; charset=utf-8');
  void reply.header('content-disposition', 'attachment; filename="usage.csv"');
  return usageCsv(fields, list.data);
}
