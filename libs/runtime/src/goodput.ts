import { setting, text } from './settings.js';

/** What a request has to keep to count as goodput: in the engine's metrics, in the history and in the live figures. */
export const goodputSettings = {
  goodputTtft_ms: setting(
    {
      name: 'GOODPUT_TTFT_MS',
      summary:
        'Longest time to the first token of a request that counts as goodput in the metrics and in the console',
      defaultText: '1000',
    },
    text.integer(1000, 1, 3_600_000),
  ),
  goodputTpot_ms: setting(
    {
      name: 'GOODPUT_TPOT_MS',
      summary:
        'Longest time per further token of a request that counts as goodput in the metrics and in the console',
      defaultText: '150',
    },
    text.integer(150, 1, 3_600_000),
  ),
};
