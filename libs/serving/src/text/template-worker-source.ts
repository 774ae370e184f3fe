/**
 * The worker thread's program. It is text rather than a module file, because the same code must start from dist (.js) and
 * from source under a test runner, where Node cannot load a TypeScript worker. It only parses, renders and answers.
 */
export const TEMPLATE_WORKER_SOURCE = `
'use strict';
const { parentPort, workerData } = require('node:worker_threads');
const { Template } = require(workerData.jinjaPath);
const parsed = new Map();
const KEPT = 64;

function templateOf(source) {
  let template = parsed.get(source);
  if (template === undefined) {
    template = new Template(source);
    if (parsed.size >= KEPT) parsed.delete(parsed.keys().next().value);
    parsed.set(source, template);
  }
  return template;
}

parentPort.on('message', ({ id, source, values }) => {
  try {
    parentPort.postMessage({ id, text: templateOf(source).render(values) });
  } catch (error) {
    parentPort.postMessage({ id, error: String((error && error.message) || error).slice(0, 500) });
  }
});
parentPort.postMessage({ ready: true });
`;
