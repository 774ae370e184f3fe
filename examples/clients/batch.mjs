// Asks an adapter each line of a text file in the background, with OpenAI's own client, and prints question and answer.
//
//   LORIKEET_API_KEY=... node examples/clients/batch.mjs ticket-router questions.txt
//
// LORIKEET_URL is the server's address (http://127.0.0.1:8080 when unset).
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import OpenAI, { toFile } from 'openai';

const { positionals } = parseArgs({ allowPositionals: true });
const [model, path] = positionals;
const apiKey = process.env.LORIKEET_API_KEY;
if (!model || !path || !apiKey) {
  process.stderr.write('usage: LORIKEET_API_KEY=... node examples/clients/batch.mjs <model> <text file>\n');
  process.exit(2);
}

const baseURL = `${process.env.LORIKEET_URL ?? 'http://127.0.0.1:8080'}/v1`;
const openai = new OpenAI({ apiKey, baseURL });
const endpoint = '/v1/chat/completions';

const questions = (await readFile(path, 'utf8')).split('\n').filter((line) => line.trim() !== '');
const requests = questions.map((content, index) => ({
  custom_id: `question-${index}`,
  method: 'POST',
  url: endpoint,
  body: { model, messages: [{ role: 'user', content }], temperature: 0 },
}));
const jsonl = requests.map((request) => JSON.stringify(request)).join('\n');
const file = await openai.files.create({
  file: await toFile(Buffer.from(jsonl), 'questions.jsonl'),
  purpose: 'batch',
});

let batch = await openai.batches.create({ input_file_id: file.id, endpoint, completion_window: '24h' });
while (['validating', 'in_progress', 'finalizing', 'cancelling'].includes(batch.status)) {
  await sleep(1_000);
  batch = await openai.batches.retrieve(batch.id);
}

for (const id of [batch.output_file_id, batch.error_file_id]) {
  if (!id) continue;
  const text = await (await openai.files.content(id)).text();
  for (const line of text.trimEnd().split('\n')) {
    const { custom_id, response, error } = JSON.parse(line);
    const question = questions[Number(custom_id.slice('question-'.length))];
    const { choices, error: fault } = response?.body ?? { error };
    process.stdout.write(`${question}\n  ${choices ? choices[0].message.content : `failed: ${fault.message}`}\n`);
  }
}
for (const { line, message } of batch.errors?.data ?? []) process.stderr.write(`line ${line}: ${message}\n`);
process.exitCode = batch.status === 'completed' ? 0 : 1;
