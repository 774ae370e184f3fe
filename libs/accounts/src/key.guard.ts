import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { type Scope, SCOPES } from '#contracts/admin-api.js';
import { AppError } from '#runtime/app-error.js';
import { currentOwner, noteActor, noteTenant } from '#runtime/request-context.js';
import { StartTurns } from '#runtime/start-turns.js';
import type { FastifyRequest } from 'fastify';
import { Credentials } from './credentials.service.js';
import { KeyDirectory, type KnownKey } from './key-directory.service.js';
import {
  type AnyCaller,
  type Caller,
  type KnownTenant,
  OPERATOR_ONLY,
  REQUIRED_SCOPES,
  setCaller,
} from './request-caller.js';
import { isRead } from './sessions/session-cookie.js';

type TenantHeader = string | string[] | undefined;

/** Answers 401 without a valid key or session, 403 without the scope, and tells the handler who calls. */
@Injectable()
export class KeyGuard implements CanActivate {
  readonly #turns = new StartTurns();

  constructor(
    private readonly reflector: Reflector,
    private readonly keys: KeyDirectory,
    private readonly credentials: Credentials,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    await this.#admit(context);
    await this.#turns.begin(currentOwner());
    return true;
  }

  async #admit(context: ExecutionContext): Promise<void> {
    const targets = [context.getHandler(), context.getClass()];
    const operatorOnly = this.reflector.getAllAndOverride<boolean>(OPERATOR_ONLY, targets) ?? false;
    const scopes = this.reflector.getAllAndOverride<readonly Scope[]>(REQUIRED_SCOPES, targets);
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const { operatorId, known, viewedTenantId } = await this.credentials.of(request);

    if (operatorId !== undefined) {
      noteActor({ type: 'operator', id: operatorId });
      if (viewedTenantId !== undefined) refuseChange(operatorOnly, request.method);
      const header = viewedTenantId ?? request.headers['x-tenant'];
      if (!operatorOnly) setCaller(request, await this.#operator(operatorId, header, scopes !== undefined));
      return;
    }
    if (operatorOnly)
      throw new AppError('insufficient_scope', { message: 'This call is for operator keys.' });
    noteActor({ type: known.kind, id: known.keyId });
    noteTenant(known.tenant.id);
    setCaller(request, callerWith(known, scopes));
  }

  async #operator(keyId: string, header: TenantHeader, needsTenant: boolean): Promise<AnyCaller> {
    const operator = { keyId, operator: true, scopes: SCOPES, limits: {} };
    if (header === undefined && !needsTenant) return { ...operator, tenant: undefined };
    return { ...operator, tenant: await this.#tenantIn(header) };
  }

  async #tenantIn(header: TenantHeader): Promise<KnownTenant> {
    if (typeof header !== 'string' || header === '') {
      throw new AppError('invalid_request', {
        message: 'An operator key acts for one tenant here: name it in the header x-tenant.',
        param: 'x-tenant',
      });
    }
    const tenant = await this.keys.findTenant(header);
    if (!tenant) throw new AppError('not_found', { message: 'There is no such tenant.', param: 'x-tenant' });
    noteTenant(tenant.id);
    return tenant;
  }
}

/** Whoever looks as a tenant sees what the tenant sees, and changes nothing. */
function refuseChange(operatorOnly: boolean, method: string): void {
  if (operatorOnly)
    throw new AppError('insufficient_scope', {
      message: 'The console looks as a tenant: leave that view for the operator’s calls.',
    });
  if (!isRead(method))
    throw new AppError('insufficient_scope', {
      message: 'The console looks as a tenant, which is read-only: leave that view to change something.',
    });
}

/** Without scopes every key may call, also of a tenant that is suspended: it may ask what it is. */
function callerWith(key: KnownKey, scopes: readonly Scope[] | undefined): Caller {
  if (scopes && key.tenant.state === 'suspended') throw new AppError('tenant_suspended');
  if (scopes && !scopes.some((scope) => key.scopes.includes(scope))) {
    throw new AppError('insufficient_scope', {
      message: `The API key lacks the scope ${scopes.join(' or ')}.`,
    });
  }
  const { keyId, tenant, limits } = key;
  return { keyId, operator: false, scopes: key.scopes, tenant, limits };
}
