import { describe, expect, it } from 'vitest';
import { parseSettings } from '#runtime/settings.js';
import { fleetSettings } from './settings.js';

describe('fleetSettings', () => {
  it('reads a list of engines', () => {
    const env = { ENGINE_URLS: 'http://127.0.0.1:8090, http://gpu-1:8090', ENGINE_TOKEN: 's' };
    expect(parseSettings(fleetSettings, env).engineUrls).toEqual([
      'http://127.0.0.1:8090',
      'http://gpu-1:8090',
    ]);
  });

  it('has no engines but those that register where ENGINE_URLS is unset', () => {
    expect(parseSettings(fleetSettings, { ENGINE_TOKEN: 't' }).engineUrls).toEqual([]);
  });

  it.each([
    ['127.0.0.1:8090', 'got "127.0.0.1:8090"'],
    ['http://a:1/path', 'got "http://a:1/path"'],
    ['http://a:1,http://a:1', 'names an engine twice'],
  ])('refuses %s', (ENGINE_URLS, message) => {
    expect(() => parseSettings(fleetSettings, { ENGINE_URLS, ENGINE_TOKEN: 's' })).toThrow(message);
  });
});
