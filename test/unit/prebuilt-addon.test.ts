import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prebuiltPlaces, usePrebuilt, writePrebuilt } from '../../scripts/lib/prebuilt-addon.mjs';
import { ROOT } from '../support/stack.js';

const ADDON = join(ROOT, 'build/native/lorikeet.node');

describe('a prebuilt addon', () => {
  let clone: string;
  const place = (index = 0) => prebuiltPlaces(clone)[index] as string;
  const built = () => existsSync(join(clone, 'build/native/lorikeet.node'));
  beforeEach(() => {
    clone = mkdtempSync(join(tmpdir(), 'lorikeet prebuilt '));
    mkdirSync(join(clone, 'native/model'), { recursive: true });
    writeFileSync(join(clone, 'native/model/decoder.cc'), 'int main() {}\n');
  });
  afterEach(() => rmSync(clone, { recursive: true, force: true }));

  it.each([0, 1])('is used from each of its places when it fits (%i)', (index) => {
    writePrebuilt(clone, ADDON, place(index));
    expect([usePrebuilt(clone), built()]).toEqual([true, true]);
    expect(usePrebuilt(clone)).toBe(true);
  });

  it('is not used for other sources, when it was changed, or when it cannot be loaded', () => {
    writePrebuilt(clone, ADDON, place());
    writeFileSync(join(clone, 'native/model/decoder.cc'), 'int main() { return 1; }\n');
    expect(usePrebuilt(clone)).toBe(false);
    writePrebuilt(clone, ADDON, place());
    appendFileSync(join(place(), 'lorikeet.node'), 'x');
    expect(usePrebuilt(clone)).toBe(false);
    writeFileSync(join(clone, 'broken.node'), 'no library');
    writePrebuilt(clone, join(clone, 'broken.node'), place());
    expect([usePrebuilt(clone), built()]).toEqual([false, false]);
  });

  it('gives way to a build of its own, and is none where there is none', () => {
    expect(usePrebuilt(clone)).toBe(false);
    writePrebuilt(clone, ADDON, place());
    mkdirSync(join(clone, 'build/native'), { recursive: true });
    writeFileSync(join(clone, 'build/native/build.ninja'), '');
    expect(usePrebuilt(clone)).toBe(false);
    cpSync(ADDON, join(clone, 'build/native/lorikeet.node'));
    expect(usePrebuilt(clone)).toBe(false);
  });
});
