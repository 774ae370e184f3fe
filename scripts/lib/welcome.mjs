import { bold, say } from './print.mjs';

/** For a POSIX shell, in single quotes. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * One line that can be pasted into a shell.
 * @param {string} url
 * @param {string} key
 * @param {import('./demo.mjs').DemoAdapter} adapter
 */
export function curlOf(url, key, { name, example }) {
  const body = JSON.stringify({ model: name, messages: example.messages, temperature: 0, max_tokens: 80 });
  return [
    `curl -sS ${url}/v1/chat/completions`,
    `-H ${quoted(`authorization: Bearer ${key}`)}`,
    `-H 'content-type: application/json'`,
    `-d ${quoted(body)}`,
  ].join(' ');
}

/**
 * What the person at the terminal needs next.
 * @param {{ url: string, adminKey: string, dataDir: string, demo: import('./demo.mjs').Demo | undefined }} facts
 */
export function printWelcome({ url, adminKey, dataDir, demo }) {
  say();
  say(bold('Lorikeet is ready.'));
  say();
  say(`  API           ${url}`);
  say(`  Docs          ${url}/docs`);
  say(`  Operator key  ${adminKey}`);
  if (demo) say(`  Demo key      ${demo.key}`);
  say(`  Data, logs    ${dataDir}`);
  if (demo) {
    say();
    say('Call the demo adapters:');
    for (const adapter of demo.adapters) {
      say();
      say(`# ${adapter.name}: ${adapter.description}`);
      say(curlOf(url, demo.key, adapter));
    }
  }
  say();
  say('Ctrl-C stops everything.');
}
