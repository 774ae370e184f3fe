// Asks an adapter one question and prints the answer as it is generated, with OpenAI's own client.
//
//   LORIKEET_API_KEY=... node examples/clients/chat.mjs ticket-router "My invoice is wrong"
//
// LORIKEET_URL is the server's address (http://127.0.0.1:8080 when unset).
import { parseArgs } from 'node:util';
import OpenAI from 'openai';

const { positionals } = parseArgs({ allowPositionals: true });
const [model, question] = positionals;
const apiKey = process.env.LORIKEET_API_KEY;
if (!model || !question || !apiKey) {
  process.stderr.write('usage: LORIKEET_API_KEY=... node examples/clients/chat.mjs <model> <question>\n');
  process.exit(2);
}

const baseURL = `${process.env.LORIKEET_URL ?? 'http://127.0.0.1:8080'}/v1`;
const openai = new OpenAI({ apiKey, baseURL });

try {
  const stream = await openai.chat.completions.create({
    model,
    messages: [{ role: 'user', content: question }],
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const { choices, usage } of stream) {
    process.stdout.write(choices[0]?.delta.content ?? '');
    if (usage) process.stderr.write(`\n${usage.prompt_tokens} + ${usage.completion_tokens} tokens\n`);
  }
} catch (error) {
  // Every error has a code of the documented list, also one that ends a stream.
  if (!(error instanceof OpenAI.APIError)) throw error;
  process.stderr.write(`${error.code}: ${error.message} (request ${error.requestID ?? 'unknown'})\n`);
  process.exit(1);
}
