import { StandardSchemaValidationPipe } from '@nestjs/common';
import { requestFault } from '#runtime/request-fault.js';

/** Nest would walk the whole body once more for names that our parser has refused already. */
class BodyPipe extends StandardSchemaValidationPipe {
  protected override stripProtoKeys(): void {}
}

/** The API's global pipe: checks a body against the schema of its @Body and says which field is wrong. */
export const bodyPipe = new BodyPipe({ exceptionFactory: requestFault });
