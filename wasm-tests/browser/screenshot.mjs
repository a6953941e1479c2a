// Pictures of a page: {url, folder, user?, password?}, signed in first if there is a user.
// Writes light.png, dark.png and phone.png, and reports what the page says, whether a phone has to scroll sideways, and
// every complaint of the browser's console, a blocked style among them.
import { fillIn, observe, seen } from './browser.mjs';

const LOOKS = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

await observe(async (browser, given) => {
  const report = {};
  for (const [name, look] of Object.entries(LOOKS)) {
    const context = await browser.newContext(look);
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.location().url.endsWith('/favicon.ico')) complaints.push(message.text());
    });
    await page.goto(given.url);
    if (given.user) {
      await fillIn(page, given);
      await page.waitForURL((url) => url.origin === new URL(given.url).origin);
    }
    const file = `${given.folder}/${name}.png`;
    await page.screenshot({ path: file });
    const rendering = await page.evaluate(() => ({
      scrolls_sideways: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      background: getComputedStyle(document.body).backgroundColor,
      color: getComputedStyle(document.body).color,
    }));
    report[name] = { file, ...await seen(page), ...rendering, complaints };
    await context.close();
  }
  return report;
});
