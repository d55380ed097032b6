import { describe, expect, test } from 'vitest';
import { problemOf } from '../src/api/problem';

describe('problems', () => {
  test('say what the server says', () => {
    const body = { code: 'validation_failed', detail: 'wrong', errors: [{ field: 'email', code: 'x', detail: 'no address' }] };
    expect(problemOf(422, JSON.stringify(body), null)).toMatchObject({ status: 422, code: 'validation_failed', message: 'wrong', fields: { email: 'no address' }, passing: false });
  });

  test('come out of anything that a gateway may answer', () => {
    expect(problemOf(502, '<html>Bad Gateway</html>', null)).toMatchObject({ code: 'http_502', passing: true });
    expect(problemOf(429, 'null', '3')).toMatchObject({ retryAfter: 3, passing: true });
    expect(problemOf(404, '', 'soon')).toMatchObject({ absent: true, retryAfter: null });
  });
});
