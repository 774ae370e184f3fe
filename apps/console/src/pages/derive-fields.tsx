import { ActionIcon } from '@mantine/core';
import { IconX } from '@tabler/icons-react';
import type { ComposeMethod, FactorDtype } from '#contracts/derivations-api.js';
import { Button } from '../parts/button';
import { Group, Stack } from '../parts/elements';
import { Choice, NumberField } from '../parts/fields';
import { Segments } from '../parts/segments';
import { VersionField } from '../parts/version-field';
import { type DeriveForm, METHODS } from './derive-form';

interface FieldsProps {
  readonly form: DeriveForm;
  readonly change: (part: Partial<DeriveForm>) => void;
}

const DTYPES: readonly FactorDtype[] = ['f32', 'bf16', 'f16'];

function Dtype({ form, change, fallback }: FieldsProps & { fallback: string }) {
  return (
    <Choice
      label="Numbers"
      none={fallback}
      data={[...DTYPES]}
      value={form.dtype}
      onChange={(dtype) => change({ dtype: dtype as FactorDtype | null })}
    />
  );
}

export function ComposeFields({ form, change }: FieldsProps) {
  const { inputs, method } = form;
  const shown = inputs.length === 0 ? [{ version: '', weight: 1 }] : inputs;
  const set = (at: number, part: Partial<DeriveForm['inputs'][number]>): void =>
    change({ inputs: shown.map((input, index) => (index === at ? { ...input, ...part } : input)) });
  return (
    <Stack gap="sm">
      {shown.map(({ version, weight }, at) => (
        <Group key={at} align="flex-start" wrap="nowrap" gap="xs">
          <VersionField
            label={`Version ${at + 1}`}
            value={version}
            onChange={(text) => set(at, { version: text })}
          />
          <NumberField
            label={`Weight ${at + 1}`}
            value={weight}
            onChange={(value) => set(at, { weight: value })}
            step={0.1}
            min={-100}
            max={100}
            w={110}
          />
          {shown.length > 1 && (
            <ActionIcon
              variant="subtle"
              mt={28}
              aria-label={`Leave version ${at + 1} out`}
              onClick={() => change({ inputs: shown.filter((_, index) => index !== at) })}
            >
              <IconX size={16} />
            </ActionIcon>
          )}
        </Group>
      ))}
      <Group>
        <Button
          variant="light"
          size="compact-sm"
          onClick={() => change({ inputs: [...shown, { version: '', weight: 1 }] })}
        >
          Add a version
        </Button>
      </Group>
      <Group grow align="flex-start">
        <Choice
          label="Method"
          description={METHODS[method].about}
          data={Object.keys(METHODS)}
          value={method}
          onChange={(value) => change({ method: (value ?? 'cat') as ComposeMethod })}
        />
        <MethodFields form={form} change={change} />
        <Dtype form={form} change={change} fallback="f32" />
      </Group>
    </Stack>
  );
}

function MethodFields({ form, change }: FieldsProps) {
  const { reads } = METHODS[form.method];
  return (
    <>
      {reads.includes('density') && (
        <NumberField
          label="Density"
          description="The share that is kept"
          value={form.density}
          onChange={(density) => change({ density })}
          min={0.01}
          max={1}
          step={0.1}
        />
      )}
      {reads.includes('majority_sign') && (
        <Choice
          label="Signs by"
          description="What elects them"
          data={['total', 'frequency']}
          value={form.majoritySign}
          onChange={(value) => change({ majoritySign: value === 'frequency' ? 'frequency' : 'total' })}
        />
      )}
      {reads.includes('seed') && (
        <NumberField
          label="Seed"
          description="Empty: by chance, and told"
          value={form.seed}
          onChange={(seed) => change({ seed })}
          min={0}
          allowDecimal={false}
        />
      )}
      {reads.includes('rank') && (
        <NumberField
          label="Rank"
          description="Empty: the largest"
          value={form.rank}
          onChange={(rank) => change({ rank })}
          min={1}
          max={1024}
          allowDecimal={false}
        />
      )}
    </>
  );
}

export function ShrinkFields({ form, change }: FieldsProps) {
  return (
    <Stack gap="sm">
      <VersionField label="Version" value={form.version} onChange={(version) => change({ version })} />
      <Segments
        aria-label="Shrink by"
        data={[
          { value: 'rank', label: 'to a rank' },
          { value: 'energy', label: 'by energy' },
        ]}
        value={form.by}
        onChange={(by) => change({ by: by === 'energy' ? 'energy' : 'rank' })}
      />
      <Group grow align="flex-start">
        {form.by === 'rank' ? (
          <NumberField
            label="Rank"
            description="The largest of the result"
            value={form.rank}
            onChange={(rank) => change({ rank })}
            min={1}
            max={1024}
            allowDecimal={false}
            required
          />
        ) : (
          <NumberField
            label="Energy"
            description="The share of each module’s squared singular values that stays"
            value={form.energy}
            onChange={(energy) => change({ energy })}
            min={0.01}
            max={1}
            step={0.01}
            required
          />
        )}
        <Dtype form={form} change={change} fallback="as stored" />
      </Group>
    </Stack>
  );
}

const FORMS = [
  { value: 'mlx', label: 'MLX-LM: adapters.safetensors in the download' },
  { value: 'gguf', label: 'GGUF: adapter.gguf beside the files, for llama.cpp' },
  { value: 'peft', label: 'PEFT: from MLX-LM’s form' },
  { value: 'int8', label: 'int8: the numbers that an engine keeps with ADAPTER_DTYPE=int8' },
];

export function ConvertFields({ form, change }: FieldsProps) {
  return (
    <Stack gap="sm">
      <VersionField label="Version" value={form.version} onChange={(version) => change({ version })} />
      <Choice label="Form" data={FORMS} value={form.to} onChange={(to) => change({ to: to ?? 'mlx' })} />
      <Dtype form={form} change={change} fallback="as stored" />
    </Stack>
  );
}
