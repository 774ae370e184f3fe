import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { SwaggerModule } from '@nestjs/swagger';
import { makeOpenApiDocument } from './openapi-document.js';

/** `/openapi.json`, and under `/docs` a page made from it; its scripts and styles come from this server. */
export function serveDocs(app: NestFastifyApplication): void {
  SwaggerModule.setup('docs', app, makeOpenApiDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'Lorikeet API',
    swaggerOptions: { persistAuthorization: true, validatorUrl: null },
  });
}
