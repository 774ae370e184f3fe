import { Body, Controller, Delete, Get, Param, Put } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { PricesService } from '#accounts/money/prices.service.js';
import {
  PriceListSchema,
  type PriceResource,
  PriceSchema,
  type PutPrice,
  PutPriceSchema,
} from '#contracts/money-api.js';
import { DeletedSchema, type List } from '#contracts/resource.js';
import type { z } from 'zod';

@ApiTags('Operator')
@Controller('v1/admin/prices')
@RequireOperator()
export class PricesController {
  constructor(private readonly prices: PricesService) {}

  @Get()
  @ApiOperation({ summary: 'List prices: the default, those of tenants, those of their adapters' })
  @ApiOkResponse({ standardSchema: PriceListSchema })
  list(): Promise<List<PriceResource>> {
    return this.prices.list();
  }

  @Put()
  @ApiOperation({
    summary: 'Set a price of tokens',
    description:
      'The default, of a tenant, or of an adapter of a tenant; it counts for what is used from then on.',
  })
  @ApiOkResponse({ standardSchema: PriceSchema })
  put(@Body({ schema: PutPriceSchema }) body: PutPrice): Promise<PriceResource> {
    return this.prices.put(body);
  }

  @Delete(':price')
  @ApiOperation({ summary: 'Delete a price: the next wider one holds' })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(@Param('price') id: string): Promise<z.infer<typeof DeletedSchema>> {
    await this.prices.remove(id);
    return { id, object: 'price', deleted: true };
  }
}
