import { CONTROLS } from 'virtual:sampling-controls';

export type Control = (typeof CONTROLS)[number];
/** What stands in the form, by the field's name; what is not there or empty is not sent, so the server's default counts. */
export type SamplingFields = Readonly<Record<string, number | string | boolean>>;

export const NO_SAMPLING: SamplingFields = { max_tokens: 256 };

/** As the API takes them. */
export function samplingBody(fields: SamplingFields): Record<string, unknown> {
  return Object.fromEntries(
    CONTROLS.flatMap((control) => {
      const value = valueOf(control, fields[control.name]);
      return value === undefined ? [] : [[control.name, value]];
    }),
  );
}

const PARTS = /,\s*/;

function valueOf({ kind }: Control, value: SamplingFields[string] | undefined): unknown {
  if (value === undefined || value === '' || value === false) return undefined;
  const parts = String(value).split(PARTS).filter(Boolean);
  if (kind === 'json') return jsonOf(String(value));
  if (kind === 'texts') return parts.length === 0 ? undefined : parts;
  if (kind === 'integers') return parts.map(Number);
  if (kind === 'biases') return Object.fromEntries(parts.map(biasOf));
  return value;
}

/** What is no JSON goes as it is: the API says what it expects. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function biasOf(part: string): [token: string, bias: number] {
  const [token = '', bias = ''] = part.split(/\s*[:=]\s*/);
  return [token, Number(bias)];
}
