import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { StoredResponses } from '#accounts/responses/stored-responses.service.js';
import type { TokenizeRequest } from '#contracts/openai/tokenize.js';
import {
  type CountInputTokens,
  CountInputTokensSchema,
  type CreateResponse,
  CreateResponseSchema,
  type InputTokens,
  InputTokensSchema,
  VERBATIM_IN_RESPONSES,
} from '#contracts/openai/responses/create-response.js';
import {
  InputItemListSchema,
  type InputItemQuery,
  InputItemQuerySchema,
  type ResponseResource,
  ResponseSchema,
} from '#contracts/openai/responses/response.js';
import { DeletedSchema } from '#contracts/resource.js';
import type { AnswerHead } from '#inference/answers/answer-format.js';
import { TokenizationService } from '#inference/life/tokenization.service.js';
import { promptOf } from '#inference/responses/response-chat.js';
import { type AskedChat, ResponseChats } from '#inference/responses/response-chats.service.js';
import { ResponseFormat } from '#inference/responses/response-format.js';
import { itemsOf, keptItems } from '#inference/responses/response-items.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { AnswerService } from '../http/answer.service.js';
import { followClient } from '../http/client-connection.js';
import { UncomputedCalls } from '../http/uncomputed-calls.service.js';

@ApiTags('Inference')
@Controller('v1/responses')
@RequireScope('inference')
export class ResponsesController {
  constructor(
    private readonly answers: AnswerService,
    private readonly chats: ResponseChats,
    private readonly stored: StoredResponses,
    private readonly calls: UncomputedCalls,
    private readonly tokenization: TokenizationService,
    private readonly streams: OpenStreams,
  ) {}

  @TakesBody('prompt', { verbatim: VERBATIM_IN_RESPONSES })
  @Post()
  @HttpCode(200)
  @ApiOperation({
    summary: "Answer a conversation in the form of OpenAI's responses",
    description:
      'With stream: true, its numbered events. Kept unless store is false, so that the next request can go on with it.',
  })
  @ApiOkResponse({ standardSchema: ResponseSchema })
  async create(
    @Body({ schema: CreateResponseSchema }) body: CreateResponse,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { chat, plan } = await this.#chatOf(body, caller, reply);
    const input = keptItems(itemsOf(body.input));
    const keep = (answer: object) =>
      this.stored.add(caller.tenant.id, { input, body: answer as ResponseResource });
    const question = {
      plan,
      format: (head: AnswerHead) => new ResponseFormat(head, body, chat),
      stream: body.stream ?? false,
      style: 'responses' as const,
      caller,
      ...(body.store === false ? {} : { keep }),
    };
    await this.answers.answer(question, request, reply);
  }

  async #chatOf(body: CreateResponse, caller: Caller, reply: FastifyReply): Promise<AskedChat> {
    const { controller, done } = followClient(reply, this.streams);
    try {
      return await this.chats.of(body, caller, controller.signal);
    } finally {
      done();
    }
  }

  @TakesBody('prompt', { verbatim: VERBATIM_IN_RESPONSES })
  @Post('input_tokens')
  @HttpCode(200)
  @ApiOperation({ summary: 'Count the tokens of such a conversation' })
  @ApiOkResponse({ standardSchema: InputTokensSchema })
  async count(
    @Body({ schema: CountInputTokensSchema }) body: CountInputTokens,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<InputTokens> {
    const items = await this.chats.items(body, caller);
    const { model, user, messages, tools, chat_template_kwargs } = promptOf(body, items);
    const asked = { model, user, messages, tools, chat_template_kwargs } as TokenizeRequest;
    return this.calls.run(caller, reply, async (signal) => {
      const { count } = await this.tokenization.tokenize(asked, caller, signal);
      return { object: 'response.input_tokens', input_tokens: count };
    });
  }

  @Get(':response')
  @ApiOperation({ summary: 'Get a response that is kept' })
  @ApiOkResponse({ standardSchema: ResponseSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('response') response: string): Promise<ResponseResource> {
    return this.stored.get(tenant.id, response);
  }

  @Delete(':response')
  @ApiOperation({
    summary: 'Delete a response',
    description: 'Conversations that went on with it cannot go on any more.',
  })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param('response') response: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.stored.remove(tenant.id, response);
    return { id: response, object: 'response', deleted: true };
  }

  @Get(':response/input_items')
  @ApiOperation({ summary: 'List what a response answers: the items of the conversation before it' })
  @ApiOkResponse({ standardSchema: InputItemListSchema })
  async inputItems(
    @CurrentCaller() { tenant }: Caller,
    @Param('response') response: string,
    @Query({ schema: InputItemQuerySchema }) query: InputItemQuery,
  ): Promise<z.infer<typeof InputItemListSchema>> {
    const { data, has_more } = await this.stored.inputItems(tenant.id, response, query);
    const [first_id, last_id] = [data.at(0)?.id ?? null, data.at(-1)?.id ?? null];
    return { object: 'list', data: [...data], first_id, last_id, has_more };
  }
}
