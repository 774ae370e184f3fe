import { StandardSchemaValidationPipe } from '@nestjs/common';
import { requestFault } from './request-fault.js';

/** Checks a body against the schema of its @Body and says which field is wrong, as requestFault words it. */
export const bodyPipe = new StandardSchemaValidationPipe({ exceptionFactory: requestFault });
