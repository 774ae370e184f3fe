import { CONTROLS } from 'virtual:sampling-controls';
import { SimpleGrid } from './elements';
import { Check, NumberField, TextField } from './fields';
import type { Control, SamplingFields } from './sampling-body';

const PLACEHOLDERS = {
  text: '',
  texts: 'a, b',
  integers: '2, 17',
  biases: '2: -100, 17: 5',
  json: 'JSON',
} as const;

interface SamplingProps {
  readonly value: SamplingFields;
  readonly onChange: (value: SamplingFields) => void;
}

/** One control for each sampling field that the API has. */
export function Sampling({ value, onChange }: SamplingProps) {
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, md: 5 }}>
      {CONTROLS.map((control) => (
        <Field
          key={control.name}
          control={control}
          value={value[control.name]}
          onChange={(next) => onChange({ ...value, [control.name]: next })}
        />
      ))}
    </SimpleGrid>
  );
}

interface FieldProps {
  readonly control: Control;
  readonly value: SamplingFields[string] | undefined;
  readonly onChange: (value: SamplingFields[string]) => void;
}

function Field({ control: { name, kind, min, max, description }, value = '', onChange }: FieldProps) {
  const label = { label: name, ...(description === undefined ? {} : { title: description }) };
  if (kind === 'boolean')
    return (
      <Check role="switch" {...label} checked={value === true} onChange={(checked) => onChange(checked)} />
    );
  if (kind === 'number' || kind === 'integer')
    return (
      <NumberField
        size="xs"
        {...label}
        placeholder="default"
        value={typeof value === 'boolean' ? '' : value}
        onChange={onChange}
        allowDecimal={kind === 'number'}
        step={kind === 'number' ? stepOf(min, max) : 1}
        {...(min === undefined ? {} : { min })}
        {...(max === undefined ? {} : { max })}
      />
    );
  return (
    <TextField
      size="xs"
      {...label}
      placeholder={PLACEHOLDERS[kind]}
      value={String(value)}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

/** A twentieth of what there is, at most a tenth. */
const stepOf = (min = 0, max = 2): number => Math.min(0.1, (max - min) / 20);
