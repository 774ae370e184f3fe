import { countCuda, probeCuda } from '#native-engine/load.js';

/*
 * What `npm start` asks for DEVICES=all: one line of JSON, for each CUDA device that this process sees what it is, or why it
 * cannot be used. On standard error why there is none.
 */
const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function seen(device: number): { device: string } | { reason: string } {
  try {
    return { device: probeCuda(device).device };
  } catch (error) {
    return { reason: reasonOf(error) };
  }
}

try {
  const devices = Array.from({ length: countCuda() }, (_, device) => seen(device));
  process.stdout.write(`${JSON.stringify(devices)}\n`);
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exitCode = 1;
}
