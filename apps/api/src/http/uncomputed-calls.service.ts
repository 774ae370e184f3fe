import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Caller } from '#accounts/request-caller.js';
import { AdmissionService } from '#inference/life/admission.service.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { followClient } from './client-connection.js';

/** Requests that engines answer without computing anything: they count as requests, and use no tokens. */
@Injectable()
export class UncomputedCalls {
  constructor(
    private readonly admission: AdmissionService,
    private readonly streams: OpenStreams,
  ) {}

  async run<T>(caller: Caller, reply: FastifyReply, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const connection = followClient(reply, this.streams);
    try {
      const { headers, refusal, settle } = await this.admission.admitUncomputed(caller);
      for (const [name, value] of Object.entries(headers)) void reply.header(name, value);
      if (refusal) throw refusal;
      try {
        return await work(connection.controller.signal);
      } finally {
        settle(0);
      }
    } finally {
      connection.done();
    }
  }
}
