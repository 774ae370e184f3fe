import { type KeyboardEvent, useId, useState } from 'react';

interface TagsProps {
  readonly label: string;
  readonly description: string;
  /** What it offers; anything else can be typed. */
  readonly offers: readonly string[];
  readonly value: readonly string[];
  readonly onChange: (value: readonly string[]) => void;
}

/** Several texts in an order, each of which can be taken away: Enter, a comma or an offer adds one, Backspace takes the last. */
export function Tags({ label, description, offers, value, onChange }: TagsProps) {
  const id = useId();
  const [typed, setTyped] = useState('');
  const add = (text: string): void => {
    setTyped('');
    const name = text.trim();
    if (name !== '' && !value.includes(name)) onChange([...value, name]);
  };
  const onInput = (text: string): void => {
    if (offers.includes(text) || text.endsWith(',')) add(text.replace(/,$/, ''));
    else setTyped(text);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Enter') {
      event.preventDefault();
      add(typed);
    } else if (event.key === 'Backspace' && typed === '') onChange(value.slice(0, -1));
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <p id={`${id}-about`}>{description}</p>
      <div className="tags">
        {value.map((name) => (
          <span key={name} className="tag">
            {name}
            <button
              type="button"
              aria-label={`Leave ${name} out`}
              onClick={() => onChange(value.filter((each) => each !== name))}
            >
              ×
            </button>
          </span>
        ))}
        <input
          id={id}
          list={`${id}-offers`}
          aria-describedby={`${id}-about`}
          placeholder={value.length === 0 ? 'adapter, adapter@3, adapter:staging' : ''}
          value={typed}
          onChange={(event) => onInput(event.currentTarget.value)}
          onKeyDown={onKeyDown}
          onBlur={() => add(typed)}
        />
      </div>
      <datalist id={`${id}-offers`}>
        {offers
          .filter((offer) => !value.includes(offer))
          .map((offer) => (
            <option key={offer} value={offer} />
          ))}
      </datalist>
    </div>
  );
}
