// `npm run kernels`: the PTX of all CUDA kernels anew from their sources, and what the assembler makes of it.
import { assembleKernels, checkKernelTexts, findToolkit } from './lib/kernel-texts.mjs';
import { runCommand } from './lib/main.mjs';
import { complain, say } from './lib/print.mjs';
import { StopError } from './lib/stop-error.mjs';

await runCommand(async () => {
  const toolkit = await findToolkit();
  if (typeof toolkit === 'string') throw new StopError(`Kernels cannot be built here: ${toolkit}.`);
  const { ok, output } = await checkKernelTexts(true);
  const { kernels } = await assembleKernels(toolkit.ptxas);
  say('kernel                    for    registers  shared bytes');
  for (const { kernel, architecture, registers, sharedBytes } of kernels)
    say(
      `${kernel.padEnd(26)}${architecture}  ${String(registers).padStart(9)}  ${String(sharedBytes).padStart(12)}`,
    );
  if (!ok) complain(output);
  return ok ? 0 : 1;
});
