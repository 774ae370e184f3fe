import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { inspectModel as inspectNative, openModel as openNative, probeCuda } from '#native-engine/load.js';
import { makeHttpApp } from '#runtime/http-app.js';
import { type Logger, makeLogger } from '#runtime/logger.js';
import { makeRegistry } from '#runtime/metrics.js';
import { OpenStreams } from '#runtime/open-streams.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { Closable, Drain } from '#runtime/shutdown.js';
import { startTracing } from '#runtime/tracing/start-tracing.js';
import { InferenceEngine } from '#serving/loop/inference-engine.js';
import { type OpenedModel, openModel } from '#serving/model-opening.js';
import { templateFaults } from '#serving/text/chat-template.js';
import { warmUp } from '#serving/warm-up.js';
import { ParityCheck } from '#serving/parity/parity-check.js';
import { openBlobStore } from '#stores/blobs/open-blob-store.js';
import { EngineHost, type LoadedEngine } from './engine-host.js';
import { type ModelPlaceHooks, withLocalModel } from './model-place.js';
import { EngineModule } from './engine.module.js';
import { Registration } from './registration.js';
import type { engineSettings } from './settings.js';

export type EngineSettings = SettingsOf<typeof engineSettings>;

export interface EngineProcess {
  readonly app: NestFastifyApplication;
  readonly logger: Logger;
  /** Settles when the model is loaded, or could not be. */
  readonly loaded: Promise<void>;
  /** Before the closables: nothing new is taken, and the answers that run come to their end. */
  readonly drain: Drain;
  /** In the order in which they are to be closed. */
  readonly closables: readonly Closable[];
}

/** Whatever an API takes of its callers fits; who sends a body has the token. */
const BODIES_BYTES = 2 ** 30;
const ENGINE_EDGE = {
  bodyLimits: { json: 2 ** 20, prompt: 80 * 2 ** 20, signed: 0 },
  budget: { all: BODIES_BYTES, address: BODIES_BYTES, owner: BODIES_BYTES, connection: BODIES_BYTES },
};
const DRAIN_MS = 5_000;
/** EX_SOFTWARE of sysexits.h. */
const DEVICE_LOST_EXIT = 70;
/** The answers of requests that failed with the device go out first. */
const ANSWERS_LEAVE_MS = 250;

/** Starts HTTP at once and loads the model beside it. */
export async function startEngine(configured: EngineSettings): Promise<EngineProcess> {
  const settings = configured;
  const closing = new AbortController();
  const logger = makeLogger('engine', settings.logLevel);
  const registry = makeRegistry('engine');
  const streams = new OpenStreams();
  const host = new EngineHost(settings.engineName);
  const tracing = await startTracing('engine', settings, logger);
  const app = await makeHttpApp({
    module: EngineModule.forRoot({ host, registry, streams, token: settings.engineToken }),
    logger,
    edge: ENGINE_EDGE,
    tracing: tracing && { tracing, requests: 'continued' },
  });
  await app.listen(settings.enginePort, settings.engineHost);
  logger.info({ url: await app.getUrl() }, 'engine listens');
  const load = async (): Promise<LoadedEngine> => {
    const start = performance.now();
    const settings = await withLocalModel(configured, pullHooks(logger, closing.signal));
    const model = await openBase(settings, logger);
    const cache = { folder: join(settings.dataDir, 'blob-cache'), limitBytes: settings.blobCacheBytes };
    const blobs = await openBlobStore(settings, cache);
    const onDeviceLost = (err: unknown) => endWithDevice(err, logger);
    const engine = new InferenceEngine({ model, settings, blobs, registry, logger, onDeviceLost });
    const { name, digest, maxContext, vocabSize } = model.base;
    await warmUp({ engine, maxContext, vocabSize, maxSequences: settings.maxSequences }).catch(
      (err: unknown) => logger.warn({ err }, 'the engine could not be warmed up'),
    );
    const { device, kv } = engine.status();
    logger.info({ model: name, digest, maxContext, device, kv, took_ms: performance.now() - start }, 'ready');
    const parity = new ParityCheck({ engine, model, settings, openNative, blobs, registry });
    return { engine, parity };
  };
  const closables: Closable[] = [
    { name: 'a pull of the model', close: async () => closing.abort() },
    { name: 'engine', close: () => host.close(DRAIN_MS) },
    { name: 'streams', close: () => streams.abortAll('The engine is shutting down.') },
    { name: 'http', close: () => app.close() },
    ...(tracing ? [{ name: 'traces', close: () => tracing.close() }] : []),
  ];
  const limit_ms = settings.shutdownTimeout_s * 1000;
  const registration = registrationOf(settings, await app.getUrl(), logger);
  registration?.start();
  const drain = {
    limit_ms,
    run: async () => {
      await host.finish(limit_ms);
      await registration?.end();
    },
  };
  if (registration) closables.unshift({ name: 'registration', close: () => registration.end() });
  return { app, logger, loaded: host.open(load), drain, closables };
}

async function openBase(settings: EngineSettings, logger: Logger): Promise<OpenedModel> {
  const digestCachePath = join(settings.dataDir, 'engine', 'content-hashes.json');
  const model = await openModel({ settings, inspectNative, openNative, probeCuda, digestCachePath });
  for (const fault of await templateFaults(model.templates, model.tokenizer.specialTokens)) {
    logger.warn({ template: fault }, 'the base model has a chat template that cannot be used');
  }
  sayModel(model, logger);
  sayDraft(model, logger);
  return model;
}

const TELL_EVERY_MS = 5_000;

/** A model of many gigabytes is on its way for minutes. */
function pullHooks(logger: Logger, signal: AbortSignal): ModelPlaceHooks {
  let told_ms = 0;
  return {
    signal,
    onNotice: (message) => logger.warn(message),
    onProgress: ({ file, doneBytes, totalBytes }) => {
      if (performance.now() - told_ms < TELL_EVERY_MS) return;
      told_ms = performance.now();
      logger.info({ file, doneBytes, totalBytes }, 'pulls the model');
    },
  };
}

/** Undefined: it stands in ENGINE_URLS. */
function registrationOf(
  settings: EngineSettings,
  listensAt: string,
  logger: Logger,
): Registration | undefined {
  const { controlUrl, engineName: name, engineToken: token } = settings;
  if (controlUrl === undefined) return undefined;
  const url = settings.engineUrl ?? new URL(listensAt).origin;
  const onRefused = (message: string): void => {
    logger.fatal(message);
    process.exit(1);
  };
  return new Registration({ controlUrl, token, name, url, logger, onRefused });
}

function sayDraft({ draft, base }: OpenedModel, logger: Logger): void {
  const readable = draft?.native.description.maxPositions ?? Number.POSITIVE_INFINITY;
  if (readable >= base.maxContext) return;
  logger.warn({ readable }, 'requests with more tokens than the draft model can read get no guesses of it');
}

/** A context that is lost answers nothing any more: only a new process has a new one. The supervisor starts it. */
function endWithDevice(err: unknown, logger: Logger): void {
  logger.fatal({ err }, 'the device is lost: the engine ends');
  setTimeout(() => process.exit(DEVICE_LOST_EXIT), ANSWERS_LEAVE_MS);
}

function sayModel({ native, deviceReason }: OpenedModel, logger: Logger): void {
  const { device, ignoredTensors: tensors } = native.description;
  if (tensors > 0) logger.info({ tensors }, 'leaves out what the checkpoint has for other things than text');
  if (deviceReason !== undefined) logger.info({ device }, `DEVICE=auto takes the CPU: ${deviceReason}`);
}
