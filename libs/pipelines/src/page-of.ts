import type { PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { isId } from '#stores/ids.js';
import { type FindOptionsWhere, LessThan, type ObjectLiteral, type Repository } from 'typeorm';

/** The rows of a page, newest first, and one more where there is a next page. */
export async function pageOf<Row extends ObjectLiteral & { id: string }>(
  rows: Repository<Row>,
  where: FindOptionsWhere<Row>,
  { limit, after }: PageQuery,
): Promise<Row[]> {
  if (after !== undefined && !isId(after))
    throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
  return rows.find({
    where: { ...where, ...(after === undefined ? {} : { id: LessThan(after) }) } as FindOptionsWhere<Row>,
    order: { id: 'DESC' } as never,
    take: limit + 1,
  });
}
