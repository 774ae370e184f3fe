import type { AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import { checkTemplate, TEMPLATE_LIMIT_BYTES } from '#jinja/chat/check-template.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';

const CODES = { invalid: 'template_invalid', unusable: 'template_unusable' } as const;

/** What is wrong with an adapter's own chat template: it would fail every chat with the adapter. */
export async function templateProblems(
  template: BlobInfo | undefined,
  base: Pick<BaseModel, 'specialTokens'>,
  blobs: BlobStore,
): Promise<AdapterProblem[]> {
  if (template === undefined) return [];
  if (template.bytes > TEMPLATE_LIMIT_BYTES) {
    return [
      {
        code: 'template_too_large',
        message: 'The chat template is larger than 1 MiB.',
        expected: `at most ${TEMPLATE_LIMIT_BYTES} bytes`,
        found: `${template.bytes} bytes`,
      },
    ];
  }
  const bytes = await blobs.read(template.sha256, TEMPLATE_LIMIT_BYTES);
  const source = utf8(bytes);
  if (source === undefined) return [{ code: 'template_invalid', message: 'The chat template is not UTF-8.' }];
  const problem = await checkTemplate(source, base.specialTokens);
  return problem === undefined ? [] : [{ code: CODES[problem.kind], message: problem.message }];
}

function utf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
