import { AppError } from '#runtime/app-error.js';
import { type EntityManager, In } from 'typeorm';
import type { Adapter } from '../registry/adapter.entity.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import { Alias } from './alias.entity.js';
import { LATEST } from './alias-routes.js';

export async function findAlias(manager: EntityManager, adapter: Adapter, name: string): Promise<Alias> {
  const alias = await manager.findOne(Alias, {
    where: { tenantId: adapter.tenantId, adapterId: adapter.id, name },
  });
  if (!alias) throw new AppError('not_found', { message: 'There is no such alias.' });
  return alias;
}

/** Throws for the first of the versions, by the field that names it, that cannot be served. */
export async function requireReady(
  manager: EntityManager,
  { id: adapterId, tenantId }: Adapter,
  fields: Readonly<Record<string, readonly number[]>>,
): Promise<void> {
  const rows = await manager.find(AdapterVersion, {
    select: { number: true, state: true },
    where: { adapterId, tenantId, number: In(Object.values(fields).flat()) },
  });
  for (const [param, numbers] of Object.entries(fields)) {
    for (const number of numbers) {
      const row = rows.find((candidate) => candidate.number === number);
      if (!row) throw new AppError('not_found', { message: `There is no version ${number}.`, param });
      if (row.state !== 'ready')
        throw new AppError('version_not_ready', { message: `Version ${number} is ${row.state}.`, param });
    }
  }
}

/** Refused while an alias other than the automatic one needs the version. */
export async function refuseWhileServed(
  manager: EntityManager,
  { id: adapterId, tenantId }: Adapter,
  number: number,
): Promise<void> {
  const aliases = await manager.find(Alias, { where: { tenantId, adapterId } });
  const needing = aliases.filter((alias) => alias.name !== LATEST && needs(alias, number));
  if (needing.length === 0) return;
  const names = needing.map(({ name }) => name).join(', ');
  throw new AppError('conflict', {
    message: `Version ${number} is served, shadowed or kept to go back to by the aliases ${names}; move them first.`,
  });
}

function needs({ routes, shadow, guard }: Alias, number: number): boolean {
  if (routes.some(({ version }) => version === number) || shadow?.version === number) return true;
  return guard !== null && guard.fallback.includes(number) && Date.parse(guard.until) > Date.now();
}
