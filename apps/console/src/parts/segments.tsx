import { useId } from 'react';

type Choice = string | { readonly value: string; readonly label: string };

interface SegmentsProps {
  readonly 'aria-label': string;
  readonly data: readonly Choice[];
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** One of a few, all of them seen: the browser's own radio buttons, drawn as one bar. */
export function Segments({ 'aria-label': label, data, value, onChange }: SegmentsProps) {
  const name = useId();
  return (
    <div className="segments" role="radiogroup" aria-label={label}>
      {data.map((choice) => {
        const each = typeof choice === 'string' ? { value: choice, label: choice } : choice;
        return (
          <label key={each.value}>
            <input
              type="radio"
              name={name}
              value={each.value}
              checked={each.value === value}
              onChange={() => onChange(each.value)}
            />
            {each.label}
          </label>
        );
      })}
    </div>
  );
}
