import { describe, expect, it } from 'vitest';
import {
  closingLine,
  countDoctest,
  countVitest,
  doctestFailures,
  doctestResult,
  settle,
  sum,
  vitestFailures,
} from '../../scripts/lib/test-report.mjs';

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
    expect(settle({ passed: 5, failed: 0, skipped: 0 }, 1)).toEqual({
      passed: 5,
      failed: 1,
      skipped: 0,
      failures: ['ended with exit code 1, though no test failed'],
    });
    expect(settle({ passed: 5, failed: 2, skipped: 0 }, 1)).toEqual({ passed: 5, failed: 2, skipped: 0 });
    expect(settle({ passed: 5, failed: 0, skipped: 0 }, 0)).toEqual({ passed: 5, failed: 0, skipped: 0 });
  });

  it("names what failed by Vitest's report: tests, and files that do not load", () => {
    const failed = {
      status: 'failed',
      fullName: 'an alias moves',
      failureMessages: ['\u001b[31mno\u001b[39m\n  at x'],
    };
    const report = {
      testResults: [
        {
          name: 'a.test.ts',
          status: 'failed',
          assertionResults: [failed, { status: 'passed', fullName: 'b' }],
        },
        { name: 'c.test.ts', status: 'failed', message: 'no such module', assertionResults: [] },
        { name: 'd.test.ts', status: 'passed', assertionResults: [{ status: 'passed', fullName: 'e' }] },
      ],
    };
    expect(vitestFailures(report)).toEqual([
      'a.test.ts > an alias moves\n    no\n      at x',
      'c.test.ts\n    no such module',
    ]);
  });

  it('names what failed by the output of doctest, and of a program that crashed its last lines', () => {
    const bar = '='.repeat(79);
    const output = `[doctest] run\n${bar}\na.cc:12:\nTEST CASE:  rows are added\n\na.cc:20: ERROR: CHECK( 1 == 2 )\n\n${bar}\n[doctest] test cases: 2 | 1 passed | 1 failed | 0 skipped\n`;
    expect(doctestFailures('ops', output)).toEqual([
      'ops\n    a.cc:12:\n    TEST CASE:  rows are added\n    \n    a.cc:20: ERROR: CHECK( 1 == 2 )',
    ]);
    expect(doctestResult('ops', output, 1)).toMatchObject({ passed: 1, failed: 1, skipped: 0 });
    expect(doctestResult('ops', 'Segmentation fault\n', 139)).toEqual({
      ...none,
      failed: 1,
      failures: ['ops: crashed\n    Segmentation fault'],
    });
  });

  it('closes with the line that CI reads', () => {
    expect(
      closingLine(sum([none, { passed: 3, failed: 1, skipped: 2 }, { passed: 1, failed: 0, skipped: 0 }])),
    ).toBe('4 passed, 1 failed, 2 skipped');
  });
});
