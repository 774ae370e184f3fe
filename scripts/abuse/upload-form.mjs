import { readFileSync } from 'node:fs';
import { inRepository } from '../lib/paths.mjs';

const FOLDER = inRepository('models', 'demo', 'adapters', 'ticket-router');
const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const BOUNDARY = 'the-end-of-a-part';

/** The config of the demo adapter that all uploads are made of, with some fields more or other. @param {object} [fields] */
export const configWith = (fields = {}) =>
  JSON.stringify({ ...JSON.parse(readFileSync(`${FOLDER}/${CONFIG}`, 'utf8')), ...fields });

/**
 * A multipart upload of a demo adapter; `files` are added or take the place of its own.
 * @param {Record<string, string | Buffer>} [files] @returns {{ headers: Record<string, string>, body: Buffer }}
 */
export function adapterForm(files = {}) {
  const own = { [CONFIG]: configWith(), [WEIGHTS]: readFileSync(`${FOLDER}/${WEIGHTS}`) };
  const parts = Object.entries({ ...own, ...files }).flatMap(([name, bytes]) => [
    Buffer.from(
      `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"; filename="${name}"\r\n` +
        'content-type: application/octet-stream\r\n\r\n',
    ),
    Buffer.from(bytes),
    Buffer.from('\r\n'),
  ]);
  return {
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)]),
  };
}
