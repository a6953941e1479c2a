// One person's way from page to page: {home, steps: [[verb, ...]], blocked?, third_party?}
//   open URL · back · forward · reload · tab (the steps after it are taken there)
//   tabs [URL, ...] (each in a tab of its own, all at once; the steps after it are taken where those before it were)
//   sign_in USER PASSWORD (in the provider's form) · sign_out (with the button on the provider's page)
//   fill SELECTOR TEXT · click SELECTOR (which leads to another page: a link, or the button of a form)
//   press KEY · type TEXT (where the focus is) · enter (presses Enter, which leads to another page)
//   frame SELECTOR (clicked in the first frame, and leads out of it)
//   framed TEXT (waits until the first frame shows a page with this)
//   until URL (waits for a page that a script leads to; the beginning of its URL) · shows TEXT (waits for a page with this)
//   fetch URL {method, headers, body} (as a script of the page does)
//   run SCRIPT (an expression in the page; its value, awaited, is the `answer`) · goes SCRIPT (leads to another page)
//   gesture SCRIPT (an expression in the handler of a key, as browsers want it to open a window; its value, awaited, is the `answer`)
//   popup VERB ... (a step in the other window that the page has opened)
//   close (the window) · closes USER PASSWORD (after the provider's form, which is filled in, the window closes by itself)
//   offline BOOLEAN (without a network, or with one again)
//   forget HOST (its cookies)
// After every step it is noted what the person sees, by which redirects it came (those of pictures and scripts left out),
// which cookies `home` has, and what the browser complained about; after `tabs` also what each tab shows, as `tabs`; after
// `press` also what has the focus, as `focus`: {tag, text, outline}; after `fetch` also its `answer`: {status, url, redirected, headers, text} or {failed}. The fragment of a URL is part of its target.
// Nobody may set a cookie at the host `blocked`; with `third_party` true a site may in a frame of another, with false only a partitioned one.
import { cookies, fillIn, leading, observe, sayYes, seen } from './browser.mjs';

// Runs in the page.
function focused() {
  const { tagName, innerText, name } = document.activeElement;
  return { tag: tagName, text: innerText || name, outline: getComputedStyle(document.activeElement).outlineStyle };
}

// Runs in the page.
async function ask([url, init]) {
  try {
    const response = await fetch(url, init);
    const { status, redirected } = response;
    return { status, url: response.url, redirected, headers: Object.fromEntries(response.headers), text: await response.text() };
  } catch (error) {
    return { failed: error.message };
  }
}

await observe(async (browser, given) => {
  const context = await browser.newContext();
  let navigations = [];
  let complaints = [];
  context.on('response', (response) => {
    const request = response.request();
    if (request.isNavigationRequest()) navigations.push({ method: request.method(), status: response.status(), url: response.url() });
  });
  context.on('console', (message) => {
    if (/Content.Security.Policy|Refused to/i.test(message.text())) complaints.push(message.text());
  });

  let page = await context.newPage();
  const leave = async () => {
    const provider = new URL(await page.url()).origin;
    await page.waitForURL((url) => url.origin !== provider);
  };
  // Of what a verb returns, `tabs`, `answer` and `focus` go into its report.
  const verbs = {
    open: (url) => page.goto(url),
    sign_in: (user, password) => Promise.all([leave(), fillIn(page, { user, password })]),
    sign_out: () => sayYes(page),
    fill: (selector, text) => page.fill(selector, text),
    click: (selector) => leading(page, () => page.click(selector)),
    press: async (key) => {
      await page.keyboard.press(key);
      return { focus: await page.evaluate(focused) };
    },
    type: (text) => page.keyboard.type(text),
    enter: () => leading(page, () => page.keyboard.press('Enter')),
    frame: (selector) => leading(page, () => page.frameLocator('iframe').first().locator(selector).click()),
    framed: (text) => page.frameLocator('iframe').first().locator('body', { hasText: text }).waitFor(),
    until: (start) => page.waitForURL((url) => url.href.startsWith(start)),
    shows: (text) => page.locator('body', { hasText: text }).waitFor(),
    fetch: async (url, init) => ({ answer: await page.evaluate(ask, [url, init]) }),
    run: async (script) => ({ answer: await page.evaluate(script) }),
    goes: (script) => leading(page, () => page.evaluate(`void ${script}`)),
    gesture: async (script) => {
      await page.evaluate(`void (window.pressed = new Promise((done) => addEventListener('keydown', () => done(${script}), { once: true })))`);
      await page.keyboard.press('x');
      return { answer: await page.evaluate('window.pressed') };
    },
    popup: async (verb, ...nouns) => {
      const opener = page;
      page = context.pages().find((open) => open !== opener) ?? await context.waitForEvent('page');
      try {
        return await verbs[verb](...nouns);
      } finally {
        page = opener;
      }
    },
    close: () => page.close(),
    closes: (user, password) => Promise.all([page.waitForEvent('close'), fillIn(page, { user, password })]),
    offline: (without) => context.setOffline(without),
    back: () => page.goBack(),
    forward: () => page.goForward(),
    reload: () => page.reload(),
    tab: async () => { page = await context.newPage(); },
    tabs: async (urls) => {
      const tabs = await Promise.all(urls.map(() => context.newPage()));
      await Promise.all(tabs.map((tab, index) => tab.goto(urls[index])));
      return { tabs: await Promise.all(tabs.map(seen)) };
    },
    forget: (domain) => context.clearCookies({ domain }),
  };
  const report = [];
  for (const [verb, ...nouns] of given.steps) {
    navigations = [];
    complaints = [];
    const { tabs, answer, focus } = await verbs[verb](...nouns) ?? {};
    const shows = { ...await seen(page), navigations, complaints, cookies: await cookies(context, given.home) };
    report.push({ step: [verb, ...nouns], ...shows, tabs, answer, focus });
  }
  return { steps: report };
});
