import { useNewestVersions, versionOf } from '../api/versions';
import { TextField } from './fields';

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
    <TextField
      label={label}
      {...(description === undefined ? {} : { description })}
      placeholder="adapter@3"
      offers={[...useNewestVersions()]}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      error={wrong && 'An adapter, @ and the number of a version'}
      required
    />
  );
}
