import { Controller, Post } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { RequireScope } from '#accounts/caller.js';
import { AppError } from '#runtime/app-error.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

/** OpenAI's clients may ask for it; there is no model here that could answer. */
@ApiExcludeController()
@Controller('v1/moderations')
@RequireScope('inference')
export class ModerationsController {
  @TakesBody('prompt')
  @Post()
  refuse(): never {
    throw new AppError('not_found', {
      message:
        'This server has no moderation model: /v1/moderations is not supported. Ask a model that classifies by /v1/chat/completions, e.g. with guided_choice.',
    });
  }
}
