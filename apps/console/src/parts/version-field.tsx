import { Autocomplete } from '@mantine/core';
import { useNewestVersions, versionOf } from '../api/versions';

interface VersionFieldProps {
  readonly label: string;
  readonly description?: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** One version as `adapter@3`. */
export function VersionField({ label, description, value, onChange }: VersionFieldProps) {
  const wrong = value.trim() !== '' && versionOf(value) === undefined;
  return (
    <Autocomplete
      label={label}
      {...(description === undefined ? {} : { description })}
      placeholder="adapter@3"
      data={[...useNewestVersions()]}
      limit={50}
      value={value}
      onChange={onChange}
      error={wrong && 'An adapter, @ and the number of a version'}
      required
    />
  );
}
