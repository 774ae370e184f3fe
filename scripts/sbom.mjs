// `npm run sbom -- [FILE]`: the bill of materials of the servers as CycloneDX JSON (docs/deployment.md).
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { runCommand } from './lib/main.mjs';
import { say } from './lib/print.mjs';
import { makeSbom } from './lib/sbom.mjs';

await runCommand(async () => {
  const text = `${JSON.stringify(await makeSbom(), null, 2)}\n`;
  const [file] = process.argv.slice(2);
  if (file === undefined) process.stdout.write(text);
  else {
    writeFileSync(resolve(process.env.INIT_CWD ?? '.', file), text);
    say(`${file} is written.`);
  }
});
