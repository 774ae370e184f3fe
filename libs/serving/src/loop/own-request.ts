import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { NEUTRAL_SAMPLING } from '#contracts/sampling.js';

type OwnFields = Partial<GenerateRequest> & Pick<GenerateRequest, 'maxTokens'>;

/** A request of the engine's own, of `tokens`: greedy, up to `maxTokens`, under a name that no cached prefix is shared by. */
export function ownRequest(name: string, tokens: readonly number[], fields: OwnFields): GenerateRequest {
  return {
    requestId: name,
    cacheSalt: name,
    fairnessKey: name,
    input: { kind: 'tokens', tokens: [...tokens] },
    minTokens: 0,
    ignoreEos: true,
    stop: [],
    stopTokenIds: [],
    includeStop: false,
    sampling: NEUTRAL_SAMPLING,
    speculation: {},
    returnPromptTokens: false,
    ...fields,
  };
}
