import { describe, expect, it } from 'vitest';
import { closingLine, countDoctest, countVitest, settle, sum } from '../../scripts/lib/test-report.mjs';

const none = { passed: 0, failed: 0, skipped: 0 };

describe('the counts of npm test', () => {
  it("adds up Vitest's report", () => {
    const report = {
      testResults: [
        {
          status: 'passed',
          assertionResults: [{ status: 'passed' }, { status: 'skipped' }, { status: 'todo' }],
        },
        { status: 'failed', assertionResults: [{ status: 'failed' }, { status: 'passed' }] },
      ],
    };
    expect(countVitest(report)).toEqual({ passed: 2, failed: 1, skipped: 2 });
  });

  it('counts a file that does not load, or whose hook failed, as a failure', () => {
    expect(countVitest({ testResults: [{ status: 'failed', assertionResults: [] }] })).toEqual({
      ...none,
      failed: 1,
    });
    const hook = [{ status: 'failed', assertionResults: [{ status: 'passed' }, { status: 'skipped' }] }];
    expect(countVitest({ testResults: hook })).toEqual({ passed: 1, failed: 1, skipped: 1 });
  });

  it("reads doctest's closing line, and nothing from a program that crashed before it", () => {
    const line = '[doctest] test cases:  12 |  10 passed | 2 failed | 3 skipped\n';
    expect(countDoctest(line)).toEqual({ passed: 10, failed: 2, skipped: 3 });
    expect(countDoctest('[doctest] doctest version is "2.4.9"\nSegmentation fault')).toBeUndefined();
  });

  it('never lets a run that broke look like success', () => {
    expect(settle({ passed: 5, failed: 0, skipped: 0 }, 1)).toEqual({ passed: 5, failed: 1, skipped: 0 });
    expect(settle({ passed: 5, failed: 2, skipped: 0 }, 1)).toEqual({ passed: 5, failed: 2, skipped: 0 });
    expect(settle({ passed: 5, failed: 0, skipped: 0 }, 0)).toEqual({ passed: 5, failed: 0, skipped: 0 });
  });

  it('closes with the line that CI reads', () => {
    expect(
      closingLine(sum([none, { passed: 3, failed: 1, skipped: 2 }, { passed: 1, failed: 0, skipped: 0 }])),
    ).toBe('4 passed, 1 failed, 2 skipped');
  });
});
