import { HubError } from '#hub/hub-error.js';
import { type HubReference, parseHubReference } from '#hub/hub-reference.js';
import { AppError } from '#runtime/app-error.js';

export interface HubSource extends HubReference {
  readonly kind: 'hub';
}

/** `hf://org/repo[@revision][/subfolder]`; a slash in a branch's name is written `%2F`. Throws invalid_request. */
export function parseHubSource(text: string): HubSource {
  try {
    return { kind: 'hub', ...parseHubReference(text) };
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const message = error.message.startsWith('expected') ? `\`source\`: ${error.message}` : error.message;
    throw new AppError('invalid_request', { message, param: 'source' });
  }
}
