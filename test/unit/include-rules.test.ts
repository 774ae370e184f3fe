import { describe, expect, it } from 'vitest';
import { includeFaults } from '../../scripts/lib/include-rules.mjs';

const faults = (path: string, ...includes: string[]) =>
  includeFaults(path, includes.map((name) => `#include ${name}\n`).join(''));

describe('the include rules of native/', () => {
  it('lets binding see model, model see the interface, a backend see the interface and itself', () => {
    expect(faults('binding/engine.cc', '<napi.h>', '"model/decoder.h"', '"backend/interface/ops.h"')).toEqual(
      [],
    );
    expect(faults('model/decoder.cc', '"backend/interface/ops.h"', '"decoder.h"', '<vector>')).toEqual([]);
    expect(
      faults('backend/cpu/linear.cc', '"backend/interface/ops.h"', '"backend/cpu/kernels.h"', '"kernels.h"'),
    ).toEqual([]);
  });

  it('refuses what turns the arrows round', () => {
    expect(faults('model/decoder.cc', '"binding/engine.h"')).toHaveLength(1);
    expect(faults('model/decoder.cc', '"backend/cpu/kernels.h"')).toHaveLength(1);
    expect(faults('backend/cpu/linear.cc', '"model/decoder.h"')).toHaveLength(1);
    expect(faults('backend/reference/linear.cc', '"backend/cpu/kernels.h"')).toHaveLength(1);
    expect(faults('backend/interface/ops.h', '"backend/shared/dtype.h"')).toHaveLength(1);
    expect(faults('backend/shared/sampling.cc', '"backend/cpu/kernels.h"')).toHaveLength(1);
  });

  it('keeps Node in binding/ and CUDA in backend/cuda/', () => {
    expect(faults('model/decoder.cc', '<napi.h>')).toEqual([
      'native/model/decoder.cc: only native/binding may include napi.h',
    ]);
    expect(faults('backend/cpu/linear.cc', '<cuda_runtime.h>')).toHaveLength(1);
    expect(faults('backend/cuda/linear.cu', '<cuda_runtime.h>')).toEqual([]);
  });

  it('keeps the simulator to itself', () => {
    expect(faults('simulator/driver/device.cc', '"simulator/machine/launch.h"')).toEqual([]);
    expect(faults('simulator/machine/launch.cc', '"backend/shared/dtype.h"')).toHaveLength(1);
    expect(faults('backend/cpu/linear.cc', '"simulator/machine/launch.h"')).toHaveLength(1);
    expect(faults('test/main.cc', '"simulator/machine/launch.h"')).toHaveLength(1);
  });

  it('wants a rule for a new folder', () => {
    expect(faults('sketches/main.cc')[0]).toMatch(/no rule says/);
  });
});
