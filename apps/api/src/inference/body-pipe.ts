import { StandardSchemaValidationPipe } from '@nestjs/common';
import { requestFault } from './request-fault.js';

/** The API's global pipe: checks a body against the schema of its @Body and says which field is wrong. */
export const bodyPipe = new StandardSchemaValidationPipe({ exceptionFactory: requestFault });
