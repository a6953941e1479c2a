// A headless Chromium for one script: node SCRIPT.mjs ARGUMENTS.json, where ARGUMENTS holds the binary as "chromium".
// What a script returns is printed as one line of JSON.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';

export const required = createRequire(new URL('../provider/', import.meta.url));
const { chromium } = required('playwright-core');

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

// Where `given` names a host as `blocked`, the browser takes no cookie from it, as its settings can say for one site. Third-party
// cookies are blocked, as in a private window, unless `third_party` is true.
async function launch(executablePath, { blocked, third_party }) {
  if (!blocked && third_party === undefined) return chromium.launch({ executablePath, args: ARGS });
  const profile = mkdtempSync(`${tmpdir()}/profile-`);
  const exceptions = blocked ? { cookies: { [`${blocked},*`]: { setting: 2 } } } : {};
  const settings = { profile: { content_settings: { exceptions }, cookie_controls_mode: third_party ? 0 : 1 } };
  mkdirSync(`${profile}/Default`);
  writeFileSync(`${profile}/Default/Preferences`, JSON.stringify(settings));
  const context = await chromium.launchPersistentContext(profile, { executablePath, args: ARGS });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { newContext: async () => context, close };
}

export async function observe(script) {
  const { chromium: executablePath, ...given } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
  const browser = await launch(executablePath, given);
  try {
    console.log(JSON.stringify(await script(browser, given)));
  } finally {
    await browser.close();
  }
}

// Fills the provider's form. The caller waits for what comes then.
export async function fillIn(page, { user, password }) {
  await page.fill('input[name=login]', user);
  await page.fill('input[name=password]', password);
  await page.click('button[type=submit]');
}

// Says yes on the provider's page that asks whether to sign out, and goes where that leads.
export async function sayYes(page) {
  const provider = new URL(page.url()).origin;
  await Promise.all([page.waitForURL((url) => url.origin !== provider), page.click('button[name=logout]')]);
}

// What a person sees, and where. A page whose script leads on may go while it is looked at: then it is the next one's turn.
export async function seen(page) {
  for (;;) {
    const url = page.url();
    try {
      const { pathname, search, hash, origin } = new URL(url);
      const shown = { origin, target: pathname + search + hash, title: await page.title(), text: await page.innerText('body') };
      if (page.url() === url) return shown;
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
