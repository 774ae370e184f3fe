import { describe, expect, it } from 'vitest';
import { affectedBy } from '../../scripts/lib/affected.mjs';

describe('what npm run dev starts again', () => {
  it.each([
    [['apps/api/src/main.ts'], { native: false, apps: ['api'] }],
    [['libs/serving/src/loop/scheduler.ts'], { native: false, apps: ['engine'] }],
    [['libs/accounts/src/keys.service.ts'], { native: false, apps: ['worker', 'api'] }],
    [['libs/contracts/src/errors.ts'], { native: false, apps: ['engine', 'worker', 'api'] }],
    [['native/model/decoder.cc'], { native: true, apps: ['engine'] }],
    [
      ['native/test/model_step.cc', 'libs/fleet/src/router.test.ts', 'apps/cli/src/ask.ts'],
      { native: false, apps: [] },
    ],
  ])('after %j', (paths, expected) => {
    expect(affectedBy(paths)).toEqual(expected);
  });
});
