/** How the file begins that Git keeps in the place of one that Git LFS stores. */
export const LFS_POINTER = 'version https://git-lfs.github.com/spec/';
export const IS_LFS_POINTER =
  'is a Git LFS pointer, not the file itself: run `git lfs install && git lfs pull` in the repository and send it again.';

const CONVERT_PICKLE =
  'Convert it where you trust it: `python -c "import torch; from safetensors.torch import save_file; ' +
  "save_file({k: v.contiguous() for k, v in torch.load('adapter_model.bin', map_location='cpu', weights_only=True).items()}, " +
  "'adapter_model.safetensors')\"`.";
export const IS_PICKLE = `is a PyTorch file (pickle), which is never read: only safetensors. ${CONVERT_PICKLE}`;

/** What bytes are that should be a safetensors file and begin like another kind; undefined for none that is known. */
export function otherFileKind(begin: Uint8Array): string | undefined {
  const text = new TextDecoder('latin1').decode(begin.subarray(0, 64));
  if (text.startsWith(LFS_POINTER)) return IS_LFS_POINTER;
  // torch.save writes a zip archive, before version 1.6 a bare pickle.
  const isBarePickle = begin[0] === 0x80 && (begin[1] ?? 0) >= 2 && (begin[1] ?? 9) <= 5;
  if (text.startsWith('PK\x03\x04') || isBarePickle) return IS_PICKLE;
  if (text.startsWith('GGUF')) {
    return "is a GGUF file. Send the adapter as PEFT saved it (save_pretrained) before it was converted to llama.cpp's format.";
  }
  if (text.startsWith('\x1f\x8b')) return 'is a gzip archive. Unpack it and send the files themselves.';
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) return 'is a web page, not a safetensors file.';
  if (/^\s*\{/.test(text)) return 'is JSON, not a safetensors file.';
  return undefined;
}
