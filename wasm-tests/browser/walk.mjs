// One person's way from page to page: {home, steps: [[verb, ...]], blocked?}
//   open URL · sign_in USER PASSWORD · click SELECTOR · back · forward · reload · tab (the steps after it are taken there)
//   forget HOST (its cookies)
// After every step it is noted what the person sees, by which redirects it came (those of pictures and scripts left out),
// which cookies `home` has, and what the browser complained about. Nobody may set a cookie at the host `blocked`.
import { cookies, fillIn, observe, seen } from './browser.mjs';

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
  const verbs = {
    open: (url) => page.goto(url),
    sign_in: async (user, password) => {
      const provider = new URL(page.url()).origin;
      await fillIn(page, { user, password });
      await page.waitForURL((url) => url.origin !== provider);
    },
    click: (selector) => Promise.all([page.waitForNavigation(), page.click(selector)]),
    back: () => page.goBack(),
    forward: () => page.goForward(),
    reload: () => page.reload(),
    tab: async () => { page = await context.newPage(); },
    forget: (domain) => context.clearCookies({ domain }),
  };
  const report = [];
  for (const [verb, ...nouns] of given.steps) {
    navigations = [];
    complaints = [];
    await verbs[verb](...nouns);
    report.push({ step: [verb, ...nouns], ...await seen(page), navigations, complaints, cookies: await cookies(context, given.home) });
  }
  return { steps: report };
});
