import { once } from 'node:events';
import { connect } from 'node:net';
import { Module } from '@nestjs/common';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { makeHttpApp } from './http-app.js';

@Module({})
class EmptyModule {}

it('closes without waiting for a connection that has not sent a request', async () => {
  const logger = pino({ level: 'silent' });
  const options = { module: EmptyModule, logger };
  const app = await makeHttpApp(options);
  await app.listen(0, '127.0.0.1');
  const url = new URL(await app.getUrl());
  const socket = connect(Number(url.port), url.hostname);
  await once(socket, 'connect');
  await expect(fetch(url).then(({ status }) => status)).resolves.toBe(404);
  const closed = once(socket, 'close');
  await app.close();
  await closed;
});
