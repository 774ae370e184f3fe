import { describe, expect, it } from 'vitest';
import { readOptions } from '../../scripts/lib/options.mjs';

describe('the options of npm start', () => {
  it('takes the documented defaults without any', () => {
    expect(readOptions([], {})).toMatchObject({
      port: 8080,
      host: '127.0.0.1',
      modelPath: undefined,
      demo: true,
    });
  });

  it('reads the environment, and treats an empty variable as unset', () => {
    const env = { PORT: '9000', HOST: ' ', DATA_DIR: '/var/lib/x', DATABASE_URL: 'postgresql://a/b' };
    expect(readOptions([], env)).toMatchObject({
      port: 9000,
      host: '127.0.0.1',
      dataDir: '/var/lib/x',
      databaseUrl: 'postgresql://a/b',
    });
  });

  it('starts no demo with a model of the operator', () => {
    expect(readOptions(['--model', '/models/mine'], {})).toMatchObject({ demo: false });
    expect(() => readOptions([], { MODEL_PATH: '/models/mine', DEMO: 'true' })).toThrow(
      /DEMO cannot be true/,
    );
  });

  it('refuses an option that contradicts the environment rather than choosing silently', () => {
    expect(() => readOptions(['--port', '1'], { PORT: '2' })).toThrow('PORT is "2" and --port says "1"');
    expect(readOptions(['--port', '2'], { PORT: '2' })).toMatchObject({ port: 2 });
  });

  it('lists all faults at once', () => {
    expect(() => readOptions([], { PORT: '70000', DEMO: 'perhaps' })).toThrow(
      /2 settings are not valid:\n {2}PORT: .*"70000"\n {2}DEMO: .*"perhaps"/,
    );
  });

  it('reads how logs are kept', () => {
    expect(readOptions([], {})).toMatchObject({ logs: { maxBytes: 16 * 2 ** 20, files: 4 } });
    expect(readOptions([], { LOG_FILE_MB: '1', LOG_FILES: '2' })).toMatchObject({
      logs: { maxBytes: 2 ** 20, files: 2 },
    });
    expect(() => readOptions([], { LOG_FILE_MB: '0', LOG_FILES: '1.5' })).toThrow(
      /LOG_FILE_MB: .*"0"\n {2}LOG_FILES: .*"1.5"/,
    );
  });

  it('shows the options when one is unknown', () => {
    expect(() => readOptions(['--prot', '1'], {})).toThrow(/--prot[\s\S]*--port N/);
    expect(readOptions(['--help'], { PORT: 'x' })).toBe('help');
  });
});
