import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { MergeResource } from '#contracts/merges-api.js';
import { call, part } from '../api/client';
import { versionOf } from '../api/versions';
import { Check } from '../parts/fields';
import { FormModal } from '../parts/form-modal';
import { VersionField } from '../parts/version-field';
import { useActing } from '../tenant';

/** Orders a merge, and goes to it. */
export function StartMerge() {
  const { header } = useActing();
  const navigate = useNavigate();
  const { of } = useSearch({ strict: false }) as { of?: string };
  const [text, setText] = useState(of ?? '');
  const [dequantize, setDequantize] = useState(false);
  const [anyBase, setAnyBase] = useState(false);
  const start = async () => {
    const version = versionOf(text);
    if (!version) throw new Error('Write the version as adapter@3.');
    const path = `/v1/adapters/${part(version.adapter)}/versions/${version.version}/merges`;
    const body = { dequantize, any_base: anyBase };
    const { id } = await call<MergeResource>(path, { method: 'POST', tenant: header, body });
    await navigate({ to: '/merges/$merge', params: { merge: id } });
    return undefined;
  };
  const leave = (): void =>
    void navigate({
      to: '.',
      search: (before) => ({ ...before, of: undefined }) as never,
      replace: true,
    });
  return (
    <FormModal
      label="Merge a version"
      title="Merge a version into the base model"
      submit="Merge"
      asked={{ opened: of !== undefined, leave }}
      onSubmit={start}
    >
      <VersionField
        label="Version"
        description="One that answers on the base model that is served."
        value={text}
        onChange={setText}
      />
      <Check
        label="Dequantize"
        description="Of a quantized base: merge into the weights that it stands for, as bfloat16. Without it such a base is refused."
        checked={dequantize}
        onChange={(checked) => setDequantize(checked)}
      />
      <Check
        label="Any base that fits"
        description="Also where the worker’s checkpoint is not the base that is served, such as the one from which a GGUF file was made."
        checked={anyBase}
        onChange={(checked) => setAnyBase(checked)}
      />
    </FormModal>
  );
}
