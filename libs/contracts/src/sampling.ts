import { z } from 'zod';

/*
 * How a token is drawn. To add a field: a row here, its member and meaning in native (SampleRow, and a line in the columns of
 * native/model/step_plan.h), a test and a line of docs. Everything between is made from the row, or does not compile.
 */

/** One number that shapes a draw. */
interface SamplingField {
  /** Between API and engine. */
  readonly wire: z.ZodType<number | undefined>;
  /** Where it changes nothing; of the temperature: greedy. */
  readonly neutral: number;
  /** As callers give it: OpenAI's or vLLM's name, what it may be, and what counts where it is not given. */
  readonly request: {
    readonly name: string;
    readonly schema: z.ZodType<number | null | undefined>;
    readonly unsaid: number;
    /** What the caller's number is on the wire; undefined: left out. Absent: the same number. */
    readonly toWire?: (given: number) => number | undefined;
  };
  /** Kind of its column in the step's plan. */
  readonly column: 'int' | 'float';
  /** An adapter's generation_config.json may say it for callers that do not. */
  readonly adapterDefault: boolean;
  /** It needs to know which tokens came before. */
  readonly penalty: boolean;
}

const within = (min: number, max: number) => z.number().min(min).max(max).nullish();
/** The engine's top_p is above 0: so small a share is the first token's alone. */
const SMALLEST_TOP_P = 1e-9;

/** In the order of the plan's columns: native's is the same (a test compares them). */
export const SAMPLING_FIELDS = {
  temperature: {
    wire: z.number().min(0),
    neutral: 0,
    request: {
      name: 'temperature',
      schema: within(0, 2).describe('0 is greedy; default 1'),
      unsaid: 1,
    },
    column: 'float',
    adapterDefault: true,
    penalty: false,
  },
  topP: {
    wire: z.number().gt(0).max(1),
    neutral: 1,
    request: {
      name: 'top_p',
      schema: within(0, 1).describe('0: only the most likely token'),
      unsaid: 1,
      toWire: (given) => (given === 0 ? SMALLEST_TOP_P : given),
    },
    column: 'float',
    adapterDefault: true,
    penalty: false,
  },
  topK: {
    /** Absent: all tokens. */
    wire: z.int().positive().optional(),
    neutral: 0,
    request: {
      name: 'top_k',
      schema: z
        .int()
        .min(-1)
        .nullish()
        .describe('Sample among so many of the most likely tokens; -1 or 0: all (default)'),
      unsaid: 0,
      toWire: (given) => (given > 0 ? given : undefined),
    },
    column: 'int',
    adapterDefault: true,
    penalty: false,
  },
  minP: {
    wire: z.number().min(0).max(1),
    neutral: 0,
    request: { name: 'min_p', schema: within(0, 1), unsaid: 0 },
    column: 'float',
    adapterDefault: true,
    penalty: false,
  },
  repetitionPenalty: {
    wire: z.number().positive(),
    neutral: 1,
    request: { name: 'repetition_penalty', schema: z.number().gt(0).max(10).nullish(), unsaid: 1 },
    column: 'float',
    adapterDefault: true,
    penalty: true,
  },
  presencePenalty: {
    wire: z.number(),
    neutral: 0,
    request: { name: 'presence_penalty', schema: within(-2, 2), unsaid: 0 },
    column: 'float',
    adapterDefault: false,
    penalty: true,
  },
  frequencyPenalty: {
    wire: z.number(),
    neutral: 0,
    request: { name: 'frequency_penalty', schema: within(-2, 2), unsaid: 0 },
    column: 'float',
    adapterDefault: false,
    penalty: true,
  },
} as const satisfies Readonly<Record<string, SamplingField>>;

type Fields = typeof SAMPLING_FIELDS;
export type SamplingNumber = keyof Fields;
export const SAMPLING_NUMBERS = Object.keys(SAMPLING_FIELDS) as SamplingNumber[];

/** Those of which a trait has this value. */
type Having<Trait extends keyof SamplingField, Value> = {
  [Name in SamplingNumber]: Fields[Name] extends Readonly<Record<Trait, Value>> ? Name : never;
}[SamplingNumber];
export type DefaultableNumber = Having<'adapterDefault', true>;
export const DEFAULTABLE_NUMBERS = SAMPLING_NUMBERS.filter(
  (name): name is DefaultableNumber => SAMPLING_FIELDS[name].adapterDefault,
);
export type IntNumber = Having<'column', 'int'>;
export type FloatNumber = Having<'column', 'float'>;

type WireShape = { [Name in SamplingNumber]: Fields[Name]['wire'] };
/** The schemas of the numbers on the wire. */
const WIRE = Object.fromEntries(
  SAMPLING_NUMBERS.map((name) => [name, SAMPLING_FIELDS[name].wire]),
) as WireShape;

type DefaultableShape = { [Name in DefaultableNumber]: z.ZodOptional<WireShape[Name]> };
/** The schemas of what an adapter may say of itself. */
export const DEFAULTABLE_SHAPE = Object.fromEntries(
  DEFAULTABLE_NUMBERS.map((name) => [name, WIRE[name].optional()]),
) as DefaultableShape;

export const SamplingSchema = z.object({
  ...WIRE,
  /** Absent: the engine draws one. */
  seed: z.union([z.int(), z.string().regex(/^-?\d{1,19}$/)]).optional(),
  logitBias: z.array(z.object({ token: z.int().nonnegative(), bias: z.number() })),
});
export type Sampling = z.infer<typeof SamplingSchema>;

/** Greedy, with nothing else at work. */
export const NEUTRAL_SAMPLING: Sampling = SamplingSchema.parse({
  // What cannot be said on the wire, such as topK 0, is left out there.
  ...Object.fromEntries(
    SAMPLING_NUMBERS.map((name) => [name, SAMPLING_FIELDS[name].neutral] as const).filter(
      ([name, neutral]) => WIRE[name].safeParse(neutral).success,
    ),
  ),
  logitBias: [],
});

export function hasPenalty(sampling: Sampling): boolean {
  return SAMPLING_NUMBERS.some((name) => {
    const { penalty, neutral } = SAMPLING_FIELDS[name];
    return penalty && (sampling[name] ?? neutral) !== neutral;
  });
}

/** The names under which callers give numbers. */
export type RequestName<Name extends SamplingNumber> = Fields[Name]['request']['name'];
type RequestShape = { [Name in SamplingNumber as RequestName<Name>]: Fields[Name]['request']['schema'] };
/** The numbers as fields of a request. */
export const SAMPLING_REQUEST_FIELDS = Object.fromEntries(
  SAMPLING_NUMBERS.map((name) => [SAMPLING_FIELDS[name].request.name, SAMPLING_FIELDS[name].request.schema]),
) as RequestShape;
export type SamplingRequest = { readonly [Field in keyof RequestShape]?: number | null | undefined };

/** What the caller gave of a number; undefined: nothing. */
export function givenOf(request: SamplingRequest, name: SamplingNumber): number | undefined {
  return request[SAMPLING_FIELDS[name].request.name] ?? undefined;
}

/** The same as it goes between API and engine; undefined: nothing was given, or it is left out there. */
export function wireOf(request: SamplingRequest, name: SamplingNumber): number | undefined {
  const given = givenOf(request, name);
  return given === undefined ? undefined : toWire(name, given);
}

function toWire(name: SamplingNumber, given: number): number | undefined {
  const { toWire = (number: number) => number }: SamplingField['request'] = SAMPLING_FIELDS[name].request;
  return toWire(given);
}

/** The numbers of a request on the wire. */
export function samplingNumbers(request: SamplingRequest): Pick<Sampling, SamplingNumber> {
  const entries = SAMPLING_NUMBERS.map(
    (name) => [name, toWire(name, givenOf(request, name) ?? SAMPLING_FIELDS[name].request.unsaid)] as const,
  );
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Pick<
    Sampling,
    SamplingNumber
  >;
}
