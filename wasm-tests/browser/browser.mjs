// A headless browser for one script: node SCRIPT.mjs ARGUMENTS.json, where ARGUMENTS holds it as "browser": {name, binary}.
// What a script returns is printed as one line of JSON.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { start } from './proxy.mjs';
import * as webkit from './webkit.mjs';

export const required = createRequire(new URL('../provider/', import.meta.url));
const playwright = required('playwright-core');

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

// Where `given` names a host as `blocked`, the browser takes no cookie from it, as its settings can say for one site. Third-party
// cookies are blocked, as in a private window, unless `third_party` is true.
async function chromium(executablePath, { blocked, third_party }) {
  if (!blocked && third_party === undefined) return playwright.chromium.launch({ executablePath, args: ARGS });
  const profile = mkdtempSync(`${tmpdir()}/profile-`);
  const exceptions = blocked ? { cookies: { [`${blocked},*`]: { setting: 2 } } } : {};
  const settings = { profile: { content_settings: { exceptions }, cookie_controls_mode: third_party ? 0 : 1 } };
  mkdirSync(`${profile}/Default`);
  writeFileSync(`${profile}/Default/Preferences`, JSON.stringify(settings));
  const context = await playwright.chromium.launchPersistentContext(profile, { executablePath, args: ARGS });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { newContext: async () => context, close };
}

// Playwright sets the colors of every context by a command that Firefox 153 does not have.
function withoutColors(browser) {
  const sessions = Object.getPrototypeOf(playwright._connection.toImpl(browser)._browserSession);
  const { send } = sessions;
  sessions.send = function (method, ...rest) {
    return method === 'emulation.setMediaFeaturesOverride' ? Promise.resolve({}) : send.call(this, method, ...rest);
  };
}

// By WebDriver BiDi. It partitions third-party cookies unless `third_party` is true. Colors and the
// language, which is the same for a whole script, are preferences of the process.
async function firefox(executablePath, { blocked, third_party }) {
  const proxy = blocked && await start({ blocked, answered: () => {} });
  const launch = (dark, locale) => playwright.firefox.launch({
    channel: 'moz-firefox',
    executablePath,
    proxy: proxy && { server: `http://127.0.0.1:${proxy.port}` },
    firefoxUserPrefs: {
      'layout.css.prefers-color-scheme.content-override': dark ? 0 : 1,
      ...(locale && { 'intl.accept_languages': locale }),
      ...(third_party && { 'network.cookie.cookieBehavior': 0 }),
      ...(proxy && { 'network.proxy.allow_hijacking_localhost': true }),
    },
  });
  const opened = {};
  const newContext = async ({ viewport, colorScheme, locale } = {}) => {
    const dark = colorScheme === 'dark';
    const browser = await (opened[`${dark}`] ??= launch(dark, locale));
    withoutColors(browser);
    return browser.newContext({ viewport });
  };
  return { newContext, close: async () => Promise.all((await Promise.all(Object.values(opened))).map((browser) => browser.close())) };
}

const BROWSERS = { chromium, firefox, webkit: webkit.launch };

export async function observe(script) {
  const { browser: { name, binary }, ...given } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
  const browser = await BROWSERS[name](binary, given);
  try {
    console.log(JSON.stringify(await script(browser, given)));
  } finally {
    await browser.close();
  }
  // A proxy may still have connections.
  process.exit(0);
}

// Does what leads to another page, and waits for that.
export const leading = (page, run) => (page.leading ? page.leading(run) : Promise.all([page.waitForNavigation(), run()]));

// Fills the provider's form. The caller waits for what comes then.
export async function fillIn(page, { user, password }) {
  await page.fill('input[name=login]', user);
  await page.fill('input[name=password]', password);
  await page.click('button[type=submit]');
}

// Says yes on the provider's page that asks whether to sign out, and goes where that leads.
export async function sayYes(page) {
  const provider = new URL(await page.url()).origin;
  await Promise.all([page.waitForURL((url) => url.origin !== provider), page.click('button[name=logout]')]);
}

// What a person sees, and where. A page whose script leads on may go while it is looked at: then it is the next one's turn.
export async function seen(page) {
  for (;;) {
    const url = await page.url();
    try {
      const { pathname, search, hash, origin } = new URL(url);
      const shown = { origin, target: pathname + search + hash, title: await page.title(), text: await page.innerText('body') };
      if ((await page.url()) === url) return shown;
    } catch (error) {
      if (!/context was destroyed|because of a navigation/.test(error.message)) throw error;
    }
    await page.waitForLoadState();
  }
}

// Our cookies' names and attributes, never their values.
export async function cookies(context, url) {
  return (await context.cookies(url)).map(({ name, value, secure, httpOnly, sameSite, path, domain }) =>
    ({ name, length: value.length, secure, httpOnly, sameSite, path, domain }));
}
