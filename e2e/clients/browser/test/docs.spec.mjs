// The description of the API, as a developer browses it.
import { expect, picture, test } from '../people.mjs';

test('the description shows its routes, and its policy stands in the way of nothing that it needs', async ({ windows }) => {
  const page = await windows.open();
  const answer = await page.goto('/docs/');
  expect(answer.headers()['content-security-policy']).toContain("script-src 'self';");
  const route = page.locator('.opblock', { hasText: '/media/details' }).first();
  await expect(route).toBeVisible();
  await route.locator('.opblock-summary').click();
  await expect(route.getByText('Each ten count as a request')).toBeVisible();
  await picture(page, 'description');
});
