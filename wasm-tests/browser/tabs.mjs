// Many tabs opened at once before anybody is signed in: {tabs: [url], user, password}
// All of them start a sign-in, then each is signed in, one after the other; where the provider's own session lets a later
// tab through without its form, it only has to be loaded again.
import { cookies, fillIn, observe, seen } from './browser.mjs';

await observe(async (browser, given) => {
  const context = await browser.newContext();
  const home = new URL(given.tabs[0]).origin;
  const pages = await Promise.all(given.tabs.map(() => context.newPage()));
  await Promise.all(pages.map((page, index) => page.goto(given.tabs[index])));
  const pending = await cookies(context, home);
  const asked_at = await Promise.all(pages.map((page) => page.url()));

  const arrived = [];
  for (const page of pages) {
    await fillIn(page, given);
    await page.waitForURL((url) => url.origin === home);
    arrived.push(await seen(page));
  }
  return { pending, asked_at, arrived, cookies: await cookies(context, home) };
});
