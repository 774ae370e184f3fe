import { Injectable } from '@nestjs/common';
import type { Lineage, LineageNode } from '#contracts/lineage-api.js';
import { DataSource, type EntityManager, In } from 'typeorm';
import { findAdapter, findVersion } from './adapter-rows.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { type Generation, parentsOf, type Relative, childrenOf } from './version-relatives.js';

/** More than a page can show. */
const MAX_NODES = 1_000;

interface Reached {
  readonly relative: Relative;
  readonly relation: LineageNode['relation'];
  readonly distance: number;
}

/** The versions from which one was made, and those that were made from it. */
@Injectable()
export class LineageService {
  constructor(private readonly database: DataSource) {}

  async get(tenantId: string, adapterName: string, number: number, depth: number): Promise<Lineage> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, adapterName);
    const { id, digest } = await findVersion(manager, adapter, number);
    const self = { key: id, id, digest, name: `${adapterName}@${number}` };
    const walk = new Walk(manager, tenantId, self);
    await walk.go('ancestor', parentsOf, depth);
    await walk.go('descendant', childrenOf, depth);
    return walk.result();
  }
}

/** Goes from generation to generation, each in a fixed number of queries; meets every version once. */
class Walk {
  readonly #reached = new Map<string, Reached>();
  readonly #edges = new Map<string, Lineage['edges'][number]>();
  #truncated = false;

  constructor(
    private readonly manager: EntityManager,
    private readonly tenantId: string,
    private readonly self: Relative,
  ) {
    this.#reached.set(self.key, { relative: self, relation: 'self', distance: 0 });
  }

  async go(relation: 'ancestor' | 'descendant', next: Generation, depth: number): Promise<void> {
    let generation: readonly Relative[] = [this.self];
    for (let distance = 1; generation.length > 0; distance += 1) {
      const links = await next(this.manager, this.tenantId, generation, MAX_NODES);
      const fresh: Relative[] = [];
      for (const { from, to } of links) {
        const known = this.#reached.has(to.key);
        if (!known && (distance > depth || this.#reached.size >= MAX_NODES)) {
          this.#truncated = true;
          continue;
        }
        const edge =
          relation === 'ancestor' ? { parent: to.key, child: from } : { parent: from, child: to.key };
        this.#edges.set(`${edge.parent} ${edge.child}`, edge);
        if (known) continue;
        this.#reached.set(to.key, { relative: to, relation, distance });
        fresh.push(to);
      }
      generation = fresh;
    }
  }

  async result(): Promise<Lineage> {
    const ids = [...this.#reached.values()].flatMap(({ relative: { id } }) => id ?? []);
    const rows = await this.manager.find(AdapterVersion, {
      where: { tenantId: this.tenantId, id: In(ids) },
      relations: { adapter: true },
    });
    const rowOf = new Map(rows.map((row) => [row.id, row]));
    return {
      object: 'adapter.lineage',
      nodes: [...this.#reached.values()].map((each) => node(each, rowOf.get(each.relative.key))),
      edges: [...this.#edges.values()],
      truncated: this.#truncated,
    };
  }
}

function node({ relative, relation, distance }: Reached, row: AdapterVersion | undefined): LineageNode {
  const at = relative.name?.lastIndexOf('@') ?? -1;
  return {
    key: relative.key,
    relation,
    distance,
    id: relative.id,
    adapter: row?.adapter?.name ?? (at < 0 ? null : (relative.name?.slice(0, at) ?? null)),
    version: row?.number ?? (at < 0 ? null : Number(relative.name?.slice(at + 1))),
    digest: row?.digest ?? relative.digest,
    state: row?.state ?? 'unknown',
    description: row?.description ?? null,
    labels: row?.labels ?? {},
    training_job: row?.trainingJob ?? null,
    metrics: row?.metrics ?? {},
    created_at: row?.createdAt.toISOString() ?? null,
  };
}
