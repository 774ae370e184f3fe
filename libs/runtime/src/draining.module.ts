import { type DynamicModule, Module } from '@nestjs/common';
import { Draining } from './drain.js';

@Module({})
export class DrainingModule {
  /** Global: provides Draining. */
  static forRoot(draining: Draining): DynamicModule {
    return {
      module: DrainingModule,
      global: true,
      providers: [{ provide: Draining, useValue: draining }],
      exports: [Draining],
    };
  }
}
