// One person's visit: {url, user, password, second?, tabs?, sign_out?}
// Opens `url`, signs in, comes back; opens `second` in another tab; opens all `tabs` at once; goes to `sign_out`, says
// yes where the provider asks, and goes to `url` again.
import { cookies, fillIn, observe, sayYes, seen } from './browser.mjs';

await observe(async (browser, given) => {
  const context = await browser.newContext();
  const redirects = [];
  context.on('response', (response) => {
    if (response.request().isNavigationRequest()) redirects.push({ status: response.status(), url: response.url() });
  });
  const page = await context.newPage();
  const report = {};

  await page.goto(given.url);
  report.asked_at = await seen(page);
  await fillIn(page, given);
  await page.waitForURL((url) => url.origin === new URL(given.url).origin);
  report.first = await seen(page);
  report.cookies = await cookies(context, given.url);
  report.navigations = redirects.slice();

  if (given.second) {
    const before = redirects.length;
    const tab = await context.newPage();
    await tab.goto(given.second);
    report.second = { ...await seen(tab), navigations: redirects.slice(before) };
  }
  if (given.tabs) {
    report.tabs = await Promise.all(given.tabs.map(async (url) => {
      const tab = await context.newPage();
      await tab.goto(url);
      return seen(tab);
    }));
  }
  if (given.sign_out) {
    await page.goto(given.sign_out);
    if (new URL(await page.url()).origin !== new URL(given.url).origin) await sayYes(page);
    report.signed_out = { ...await seen(page), cookies: await cookies(context, given.url) };
    await page.goto(given.url);
    report.after = await seen(page);
  }
  return report;
});
