import { connect } from 'node:net';
import { Body, Controller, Injectable, Module, Post } from '@nestjs/common';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { AppError } from '#runtime/app-error.js';
import { makeHttpApp } from '../http-app.js';
import { Admission } from './edge-options.js';

const REQUESTS = 100;
const PER_ITERATION = 3;

/** How many keys were looked up in each iteration of the event loop. */
const lookedUp: number[] = [0];
let isCounting = true;

function nextIteration(): void {
  lookedUp.push(0);
  if (isCounting) setImmediate(nextIteration);
}

@Injectable()
class CountingKeys extends Admission {
  async admit(): Promise<string> {
    lookedUp[lookedUp.length - 1]! += 1;
    throw new AppError('invalid_api_key');
  }
}

@Controller()
class NothingController {
  @Post('nothing')
  nothing(): void {}
}

/** In which iteration of the event loop each large body was handled. */
const handled: number[] = [];

@Injectable()
class AnyKey extends Admission {
  async admit(): Promise<string> {
    return 'a';
  }
}

@Controller()
class LargeController {
  @Post('large')
  large(@Body() _body: unknown): void {
    handled.push(lookedUp.length);
  }
}

@Module({ controllers: [LargeController], providers: [{ provide: Admission, useClass: AnyKey }] })
class LargeModule {}

@Module({ controllers: [NothingController], providers: [{ provide: Admission, useClass: CountingKeys }] })
class NothingModule {}

it('looks up some keys in each iteration of the event loop, however many requests come at once', async () => {
  const app = await makeHttpApp({ module: NothingModule, logger: pino({ level: 'silent' }) });
  try {
    await app.listen(0, '127.0.0.1');
    nextIteration();
    const { port, hostname } = new URL(await app.getUrl());
    const socket = connect(Number(port), hostname);
    // Of pipelined requests Node makes as many as one read of the socket holds.
    socket.write('POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n'.repeat(REQUESTS));
    let answers = 0;
    await new Promise<void>((resolve) => {
      socket.on('data', (data) => {
        answers += String(data).split('HTTP/1.1 401').length - 1;
        if (answers === REQUESTS) resolve();
      });
    });
    socket.destroy();
    expect(lookedUp.reduce((sum, count) => sum + count)).toBe(REQUESTS);
    expect(Math.max(...lookedUp)).toBeLessThanOrEqual(PER_ITERATION);
  } finally {
    isCounting = false;
    await app.close();
  }
});

it('handles one large body in an iteration of the event loop, however many have come', async () => {
  const app = await makeHttpApp({ module: LargeModule, logger: pino({ level: 'silent' }) });
  isCounting = true;
  try {
    await app.listen(0, '127.0.0.1');
    nextIteration();
    const { port, hostname } = new URL(await app.getUrl());
    const socket = connect(Number(port), hostname);
    const body = JSON.stringify({ text: 'x'.repeat(20_000) });
    const head = `POST /large HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
    socket.write(`${head}\r\n\r\n${body}`.repeat(3));
    let answers = 0;
    await new Promise<void>((resolve) => {
      socket.on('data', (data) => {
        answers += String(data).split('HTTP/1.1 201').length - 1;
        if (answers === 3) resolve();
      });
    });
    socket.destroy();
    expect(new Set(handled).size).toBe(3);
  } finally {
    isCounting = false;
    await app.close();
  }
});
