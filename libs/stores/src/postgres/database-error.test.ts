import { describe, expect, it } from 'vitest';
import { AppError } from '#runtime/app-error.js';
import { asDependencyError, isAway, isUniqueViolation } from './database-error.js';

const error = (fields: object, message = 'x'): Error => Object.assign(new Error(message), fields);

describe('isAway', () => {
  it.each([
    ['a refused connection', error({ code: 'ECONNREFUSED' })],
    ['a refused connection to each address', error({ errors: [error({ code: 'ECONNREFUSED' })] })],
    ['a server that shuts down', error({ code: '57P01' })],
    ['a server that starts', error({ driverError: error({ code: '57P03' }) })],
    ['a broken connection', error({}, 'Connection terminated unexpectedly')],
    [
      'a transaction whose connection broke',
      error({}, 'Query runner already released. Cannot run queries anymore.'),
    ],
    [
      'the first query of a transaction whose connection broke',
      error(
        {},
        'Database connection provided by a query runner was already released, cannot continue to use its querying methods anymore.',
      ),
    ],
    ['no free connection in time', error({}, 'timeout exceeded when trying to connect')],
    ['a missing socket', error({ code: 'ENOENT', syscall: 'connect' })],
  ])('knows %s', (_, thrown) => {
    expect(isAway(thrown)).toBe(true);
    expect(asDependencyError(thrown)).toMatchObject({
      code: 'dependency_unavailable',
      details: { cause: thrown },
    });
  });

  it.each([
    ['a broken constraint', error({ code: '23505' })],
    ['a wrong query', error({ code: '42601' })],
    ['a missing file', error({ code: 'ENOENT', syscall: 'open' })],
    ['our own error', new AppError('not_found')],
    ['no error at all', 'x'],
  ])('does not blame a service for %s', (_, thrown) => {
    expect(isAway(thrown)).toBe(false);
    expect(asDependencyError(thrown)).toBe(thrown);
  });
});

describe('isUniqueViolation', () => {
  it('tells the constraint', () => {
    const thrown = error({ driverError: error({ code: '23505', constraint: 'tenants_name_key' }) });
    expect(isUniqueViolation(thrown, 'tenants_name_key')).toBe(true);
    expect(isUniqueViolation(thrown, 'other_key')).toBe(false);
    expect(isUniqueViolation(null, 'other_key')).toBe(false);
  });
});

const codeOf = (thrown: Error) => {
  const told = asDependencyError(thrown);
  return told instanceof AppError ? told.code : 'none';
};

it.each([
  ['a full disk of ours', { code: 'ENOSPC', syscall: 'write' }, 'dependency_unavailable'],
  ['a quota of the file system', { code: 'EDQUOT', syscall: 'write' }, 'dependency_unavailable'],
  ["a full disk of PostgreSQL's", { driverError: error({ code: '53100' }) }, 'dependency_unavailable'],
  ['no memory there', { driverError: error({ code: '53200' }) }, 'dependency_unavailable'],
  ['a lock that is not given', { driverError: error({ code: '55P03' }) }, 'dependency_unavailable'],
  ['a statement that took too long', { driverError: error({ code: '57014' }) }, 'dependency_unavailable'],
  ['a deadlock', { driverError: error({ code: '40P01' }) }, 'dependency_unavailable'],
  ['a NUL in jsonb', { driverError: error({ code: '22P05' }) }, 'invalid_request'],
  ['a NUL in text', { driverError: error({ code: '22021' }) }, 'invalid_request'],
  ['a file that is not there', { code: 'ENOENT', syscall: 'open' }, 'none'],
  ['a wrong statement', { driverError: error({ code: '42P01' }) }, 'none'],
])('takes %s for what it is', (_, fields, code) => {
  expect(codeOf(error(fields))).toBe(code);
});
