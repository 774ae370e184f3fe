import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';

/** Where callers reach the API, for the URLs that it hands out. */
@Injectable()
export class BaseUrl {
  /** `publicUrl`: PUBLIC_URL. */
  constructor(private readonly publicUrl: string | undefined) {}

  /** Without a slash at its end. Where PUBLIC_URL is not set, it is what the caller wrote. */
  for(request: FastifyRequest): string {
    return (this.publicUrl ?? `${request.protocol}://${request.host}`).replace(/\/+$/, '');
  }
}
