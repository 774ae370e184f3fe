import { describe, expect, it } from 'vitest';
import { devicesOfListing, devicesOfVariable, usableDevices } from '../../scripts/lib/devices.mjs';

const ENV = { LORIKEET_CUDA_DRIVER: 'another' }; // nvidia-smi is not asked

describe('the devices of a machine', () => {
  it('are those that nvidia-smi lists, or the slices of those that are divided', () => {
    const listing = `GPU 0: NVIDIA H200 (UUID: GPU-5a1b)
GPU 1: NVIDIA H200 (UUID: GPU-77aa)
  MIG 3g.71gb     Device  0: (UUID: MIG-1111)
  MIG 3g.71gb     Device  1: (UUID: MIG-2222)
GPU 2: NVIDIA H200 (UUID: GPU-90ff)
`;
    expect(devicesOfListing(listing)).toEqual(['GPU-5a1b', 'MIG-1111', 'MIG-2222', 'GPU-90ff']);
    expect(devicesOfListing('No devices found.')).toEqual([]);
  });

  it('are what CUDA_VISIBLE_DEVICES names, up to what names none', () => {
    expect(devicesOfVariable('1, MIG-2222')).toEqual(['1', 'MIG-2222']);
    expect(devicesOfVariable('0,-1,2')).toEqual(['0']);
    expect(devicesOfVariable('')).toEqual([]);
  });

  it('are asked one by one, and one that cannot be used is told and left out', async () => {
    const said: string[] = [];
    const asked: (string | undefined)[] = [];
    const seen = async (visible: string | undefined) => {
      asked.push(visible);
      if (visible === undefined) return [{ device: 'cuda:0 A' }, { reason: 'too old' }];
      return visible === '0' ? [{ device: 'cuda:0 A' }] : [{ reason: 'too old' }];
    };
    expect(await usableDevices(ENV, seen, (line) => said.push(line))).toEqual([
      { visible: '0', device: 'cuda:0 A' },
    ]);
    expect(asked).toEqual([undefined, '0', '1']);
    expect(said).toEqual(['DEVICES=all leaves out 1: too old']);
  });

  it('must be one at least', async () => {
    const none = { ...ENV, CUDA_VISIBLE_DEVICES: '' };
    await expect(
      usableDevices(
        none,
        async () => [],
        () => {},
      ),
    ).rejects.toThrow('DEVICES=all: there is no CUDA device to use: CUDA_VISIBLE_DEVICES is ""');
  });
});
