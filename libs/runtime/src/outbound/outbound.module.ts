import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import type { SettingsOf } from '../settings.js';
import { OutboundHttp } from './outbound-http.js';
import type { outboundSettings } from './settings.js';

@Module({})
export class OutboundModule implements OnApplicationShutdown {
  constructor(@Inject(OutboundHttp) private readonly http: OutboundHttp) {}

  async onApplicationShutdown(): Promise<void> {
    await this.http.close();
  }

  /** Global: provides OutboundHttp, the only way to URLs that a tenant chose. */
  static forRoot({ allowPrivateImports }: SettingsOf<typeof outboundSettings>): DynamicModule {
    return {
      module: OutboundModule,
      global: true,
      providers: [
        { provide: OutboundHttp, useFactory: () => new OutboundHttp({ allowPrivate: allowPrivateImports }) },
      ],
      exports: [OutboundHttp],
    };
  }
}
