import { NumberInput, SimpleGrid, TextInput } from '@mantine/core';

export interface SamplingFields {
  readonly temperature: number | string;
  readonly top_p: number | string;
  readonly top_k: number | string;
  readonly min_p: number | string;
  readonly repetition_penalty: number | string;
  readonly presence_penalty: number | string;
  readonly frequency_penalty: number | string;
  readonly seed: number | string;
  readonly max_tokens: number | string;
  readonly stop: string;
}

export const NO_SAMPLING: SamplingFields = {
  temperature: '',
  top_p: '',
  top_k: '',
  min_p: '',
  repetition_penalty: '',
  presence_penalty: '',
  frequency_penalty: '',
  seed: '',
  max_tokens: 256,
  stop: '',
};

/** As the API takes them; what is empty is not sent, so the server's default counts. */
export function samplingBody({ stop, ...numbers }: SamplingFields): Record<string, unknown> {
  return {
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== '')),
    ...(stop === '' ? {} : { stop: stop.split(',') }),
  };
}

const NUMBERS = [
  ['temperature', 0, 2, 0.1],
  ['top_p', 0, 1, 0.05],
  ['top_k', 0, undefined, 1],
  ['min_p', 0, 1, 0.05],
  ['repetition_penalty', 0.1, 2, 0.05],
  ['presence_penalty', -2, 2, 0.1],
  ['frequency_penalty', -2, 2, 0.1],
  ['seed', undefined, undefined, 1],
  ['max_tokens', 1, undefined, 16],
] as const;

export function Sampling({
  value,
  onChange,
}: {
  value: SamplingFields;
  onChange: (value: SamplingFields) => void;
}) {
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, md: 5 }}>
      {NUMBERS.map(([name, min, max, step]) => (
        <NumberInput
          key={name}
          size="xs"
          label={name}
          placeholder="default"
          value={value[name]}
          onChange={(next) => onChange({ ...value, [name]: next })}
          {...(min === undefined ? {} : { min })}
          {...(max === undefined ? {} : { max })}
          step={step}
        />
      ))}
      <TextInput
        size="xs"
        label="stop"
        placeholder="a,b"
        value={value.stop}
        onChange={(event) => onChange({ ...value, stop: event.currentTarget.value })}
      />
    </SimpleGrid>
  );
}
