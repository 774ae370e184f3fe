import type { Socket } from 'node:net';
import { AppError } from '#runtime/app-error.js';

/** Whose bytes they are. */
export interface BodyHolder {
  readonly socket: Socket;
  readonly address: string;
  /** The key, or what stands for it. */
  readonly owner: string;
}

/** Bytes of bodies that a process may hold at one time. */
export interface BodyBudgetLimits {
  readonly all: number;
  readonly address: number;
  readonly owner: number;
  readonly connection: number;
}

/** The usual parts of a whole. */
export function budgetOf(all: number): BodyBudgetLimits {
  return { all, address: all / 2, owner: all / 4, connection: all / 8 };
}

const RETRY_AFTER_S = 1;

/** Counts the bytes of bodies from their arrival until their request has ended. */
export class BodyBudget {
  readonly #addresses = new Map<string, number>();
  readonly #owners = new Map<string, number>();
  readonly #connections = new Map<Socket, number>();
  #all = 0;

  constructor(private readonly limits: BodyBudgetLimits) {}

  get bytes(): number {
    return this.#all;
  }

  /** Throws overloaded when it would be too many. */
  take({ socket, address, owner }: BodyHolder, bytes: number): void {
    const { limits } = this;
    const room = (taken: number | undefined, limit: number) => (taken ?? 0) + bytes <= limit;
    if (!room(this.#connections.get(socket), limits.connection)) throw full('this connection');
    if (!room(this.#owners.get(owner), limits.owner)) throw full('this key');
    if (!room(this.#addresses.get(address), limits.address)) throw full('this address');
    if (!room(this.#all, limits.all)) throw full('all callers together');
    add(this.#connections, socket, bytes);
    add(this.#owners, owner, bytes);
    add(this.#addresses, address, bytes);
    this.#all += bytes;
  }

  give({ socket, address, owner }: BodyHolder, bytes: number): void {
    add(this.#connections, socket, -bytes);
    add(this.#owners, owner, -bytes);
    add(this.#addresses, address, -bytes);
    this.#all -= bytes;
  }
}

function add<K>(counts: Map<K, number>, key: K, bytes: number): void {
  const sum = (counts.get(key) ?? 0) + bytes;
  if (sum > 0) counts.set(key, sum);
  else counts.delete(key);
}

function full(whose: string): AppError {
  return new AppError('overloaded', {
    message: `The bodies of the requests of ${whose} hold all the memory that they may; try again.`,
    retryAfter_s: RETRY_AFTER_S,
  });
}
