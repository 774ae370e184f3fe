import { Injectable } from '@nestjs/common';
import { AppError } from '#runtime/app-error.js';
import { Admission } from '#runtime/edge/edge-options.js';
import type { FastifyRequest } from 'fastify';
import { bearerOf } from './bearer.js';
import { KeyDirectory } from './key-directory.service.js';

/** Lets send bodies who has a valid key; what it may do is the guard's question. */
@Injectable()
export class KeyAdmission extends Admission {
  constructor(private readonly keys: KeyDirectory) {
    super();
  }

  async admit({ headers }: FastifyRequest): Promise<string> {
    const key = bearerOf(headers.authorization);
    const keyId = (await this.keys.findOperator(key)) ?? (await this.keys.find(key))?.keyId;
    if (keyId === undefined) throw new AppError('invalid_api_key');
    return keyId;
  }
}
