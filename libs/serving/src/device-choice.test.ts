import { describe, expect, it } from 'vitest';
import { chooseDevice, deviceSetting, fallsBack } from './device-choice.js';

const card = (device: number) => ({
  device: `cuda:${device} card 9.0`,
  freeBytes: 1000 + device,
  totalBytes: 2000,
});
const none = (): never => {
  throw new Error('there is no NVIDIA driver');
};
const native = (kind: string) => Object.assign(new Error('no'), { kind });

describe('the device that DEVICE means', () => {
  it('is auto, cpu, cuda or a numbered cuda, and nothing else', () => {
    for (const text of ['auto', 'cpu', 'cuda', 'cuda:0', 'cuda:12']) expect(deviceSetting(text)).toBe(text);
    for (const text of ['gpu', 'cuda:', 'cuda:x', 'cuda:1234', 'cuda:-1', 'CUDA', '']) {
      expect(deviceSetting(text)).toBeUndefined();
    }
  });

  it('is a CUDA device where one suffices, with the memory that it has', () => {
    expect(chooseDevice('auto', card)).toEqual({ backend: 'cuda', device: 0, freeBytes: 1000 });
    expect(chooseDevice('cuda', card)).toEqual({ backend: 'cuda', device: 0, freeBytes: 1000 });
    expect(chooseDevice('cuda:3', card)).toEqual({ backend: 'cuda', device: 3, freeBytes: 1003 });
  });

  it('is the CPU where auto finds no such device, with the reason; a named one is refused with it', () => {
    expect(chooseDevice('auto', none)).toEqual({ backend: 'cpu', reason: 'there is no NVIDIA driver' });
    expect(() => chooseDevice('cuda:1', none)).toThrow('DEVICE=cuda:1: there is no NVIDIA driver');
    expect(chooseDevice('cpu', none)).toEqual({ backend: 'cpu' });
  });

  it('falls back to the CPU by auto alone, for what the device does not serve or has no memory for', () => {
    const cuda = chooseDevice('auto', card);
    expect(fallsBack('auto', cuda, native('unsupported'))).toBe(true);
    expect(fallsBack('auto', cuda, native('out_of_memory'))).toBe(true);
    expect(fallsBack('auto', cuda, native('invalid'))).toBe(false);
    expect(fallsBack('auto', { backend: 'cpu' }, native('out_of_memory'))).toBe(false);
    expect(fallsBack('cuda', cuda, native('unsupported'))).toBe(false);
  });
});
