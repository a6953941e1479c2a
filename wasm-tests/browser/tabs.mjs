// Many tabs opened at once before anybody is signed in: {tabs: [url], user, password, opened_again?}
// All of them start a sign-in. Then the one in the middle is signed in, and after it, one after the other, each of the rest;
// or, with `opened_again`, all of the rest are opened again at once.
import { cookies, fillIn, observe, seen } from './browser.mjs';

await observe(async (browser, given) => {
  const context = await browser.newContext();
  const home = new URL(given.tabs[0]).origin;
  const pages = await Promise.all(given.tabs.map(() => context.newPage()));
  await Promise.all(pages.map((page, index) => page.goto(given.tabs[index])));
  const pending = await cookies(context, home);
  const asked_at = await Promise.all(pages.map((page) => page.url()));

  const sign_in = async (page) => {
    await fillIn(page, given);
    await page.waitForURL((url) => url.origin === home);
  };
  const first = Math.floor(pages.length / 2);
  await sign_in(pages[first]);
  const rest = pages.map((page, index) => [page, given.tabs[index]]).filter((_, index) => index !== first);
  if (given.opened_again) await Promise.all(rest.map(([page, url]) => page.goto(url)));
  else for (const [page] of rest) await sign_in(page);
  const arrived = await Promise.all(pages.map(seen));
  return { pending, asked_at, arrived, cookies: await cookies(context, home) };
});
