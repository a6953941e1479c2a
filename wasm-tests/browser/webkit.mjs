// WebKitGTK, headless in Xvfb: as much of Playwright's API as the scripts use, over WebDriver. Playwright itself drives its own
// build of WebKit only. Each context is a browser of its own, behind `proxy.mjs`, which tells of the page loads and of
// what a policy stops.
import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { BLANK, start } from './proxy.mjs';

const PATIENCE = 60000;
const KEYS = { Tab: '\uE004', Enter: '\uE007' };
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

function isExpression(text) {
  try {
    return !!new Function(`return async (given) => (${text})`);
  } catch {
    return false;
  }
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Kills the program as soon as this process has ended, however it ends.
const LEASH = `exec 3<&0; "$@" 3<&- </dev/null & child=$!; { cat <&3 >/dev/null; kill -9 $child; } 2>/dev/null & wait $child`;

function leashed(program, { env, stdio = ['pipe', 'pipe', 'inherit'] } = {}) {
  const child = spawn('/bin/sh', ['-c', LEASH, 'leash', ...program], { env: { ...process.env, ...env }, stdio });
  const end = () => new Promise((done) => {
    child.once('exit', done);
    child.stdin.end();
  });
  return { child, end };
}

const free = () => new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

async function until(what, holds) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`no ${what} within ${PATIENCE} ms`);
    await sleep(20);
  }
}

// A page that leaves while a command is under way makes it fail: it is tried again.
async function patiently(what, run) {
  let last;
  const done = await until(what, async () => {
    try {
      return [await run()];
    } catch (error) {
      last = error;
      if (!/no such element|stale|not interactable|javascript error|unknown error|no such frame/.test(error.code)) throw error;
      return null;
    }
  }).catch((error) => {
    throw last ?? error;
  });
  return done[0];
}

async function display() {
  const server = leashed(['Xvfb', '-displayfd', '1', '-screen', '0', '1400x1000x24', '-nolisten', 'tcp'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const number = await new Promise((done) => server.child.stdout.once('data', done));
  return { name: `:${`${number}`.trim()}`, end: server.end };
}

async function driver(screen, options) {
  const port = await free();
  const env = { DISPLAY: screen.name, GTK_THEME: options.colorScheme === 'dark' ? 'Adwaita:dark' : 'Adwaita', NO_AT_BRIDGE: '1' };
  const program = leashed(['WebKitWebDriver', `--port=${port}`], { env, stdio: ['pipe', 'ignore', 'inherit'] });
  const send = async (method, path, body) => {
    const sent = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await sent.json();
    if (value?.error) throw Object.assign(new Error(`${method} ${path}: ${value.error}: ${value.message}`), { code: value.error });
    return value;
  };
  await until('WebKitWebDriver', () => send('GET', '/status').catch(() => null));
  return { send, end: program.end };
}

// A report of a Content-Security-Policy, in the words of another browser's console.
const complaint = ({ 'document-uri': url, 'blocked-uri': blocked, 'violated-directive': directive }) =>
  ({ type: () => 'error', text: () => `Content-Security-Policy: ${directive} stops ${blocked} at ${url}`, location: () => ({ url: '' }) });

class Context extends EventEmitter {
  static async open({ binary, blocked }, options) {
    const context = new Context();
    context.proxy = await start({
      blocked,
      language: options.locale,
      answered: (navigation) => context.emit('response', response(navigation)),
      complained: (report) => report['blocked-uri'].endsWith('/favicon.ico') || context.emit('console', complaint(report)),
    });
    context.screen = await display();
    context.driver = await driver(context.screen, options);
    const args = ['--automation', `--proxy=http://127.0.0.1:${context.proxy.port}`, '--ignore-tls-errors'];
    const { sessionId } = await context.driver.send('POST', '/session', {
      capabilities: {
        alwaysMatch: {
          acceptInsecureCerts: true,
          pageLoadStrategy: 'none',
          'webkitgtk:browserOptions': { binary, args },
        },
      },
    });
    Object.assign(context, { session: `/session/${sessionId}`, options, queue: Promise.resolve(), known: [] });
    // A window for what concerns no page.
    context.own = await context.send('GET', '/window');
    return context;
  }

  send(method, path, body) {
    return this.driver.send(method, this.session + path, body);
  }

  // One after the other: a command goes to the window that was switched to.
  inWindow(handle, run) {
    const turn = this.queue.then(async () => {
      await this.send('POST', '/window', { handle });
      return run();
    });
    this.queue = turn.catch(() => {});
    return turn;
  }

  async newPage() {
    const { width, height } = this.options.viewport ?? { width: 1280, height: 800 };
    const page = width < 500 ? await this.popup() : await this.window();
    await page.command('POST', '/window/rect', { width, height });
    return page;
  }

  async window() {
    const turn = this.queue.then(() => this.send('POST', '/window/new', { type: 'window' }));
    this.queue = turn.catch(() => {});
    const page = new Page(this, (await turn).handle);
    this.known.push(page);
    return page;
  }

  // Without the bar of other windows, which makes them wide. Without a window manager it has no focus.
  async popup() {
    const opener = new Page(this, this.own);
    await opener.script("document.body.innerHTML = '<button>open'; document.body.onclick = () => open('about:blank', '_blank', 'popup')");
    await opener.click('button');
    return this.waitForEvent();
  }

  pages() {
    return this.known;
  }

  async waitForEvent() {
    const has = (handle) => handle === this.own || this.known.some((page) => page.handle === handle);
    return until('other window', async () => {
      const other = (await this.send('GET', '/window/handles')).find((handle) => !has(handle));
      if (!other) return null;
      const page = new Page(this, other);
      this.known.push(page);
      return page;
    });
  }

  setOffline(without) {
    this.proxy.isOffline = without;
  }

  async atBlank(url, run) {
    return this.inWindow(this.own, async () => {
      const { origin } = new URL(url);
      await this.send('POST', '/url', { url: origin + BLANK });
      await until('blank page', async () => (await this.send('GET', '/title').catch(() => '')) === origin);
      const value = await run();
      await this.send('POST', '/url', { url: 'about:blank' });
      await until('blank page', async () => (await this.send('GET', '/title').catch(() => '')) === '');
      return value;
    });
  }

  cookies(url) {
    this.home ??= url;
    return this.atBlank(url, () => this.send('GET', '/cookie'));
  }

  clearCookies({ domain }) {
    const url = new URL(this.home);
    url.hostname = domain;
    return this.atBlank(url.href, () => this.send('DELETE', '/cookie'));
  }

  async close() {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.send('DELETE', '').catch(() => {});
    this.proxy.close();
    await this.driver.end();
    await this.screen.end();
  }
}

const response = ({ method, status, url }) =>
  ({ status: () => status, url: () => url, request: () => ({ method: () => method, isNavigationRequest: () => true }) });

// The interface of Playwright's page; with a `frame`, for the first frame in it.
class Page {
  constructor(context, handle, frame = null) {
    Object.assign(this, { context, handle, frame });
    this.keyboard = { press: (key) => this.keys([KEYS[key] ?? key]), type: (text) => this.keys([...text]) };
  }

  on(event, heard) {
    this.context.on(event, heard);
  }

  frames() {
    return [this, new Page(this.context, this.handle, 0)];
  }

  // Runs while commands go to this page.
  within(run) {
    return this.context.inWindow(this.handle, async () => {
      await this.context.send('POST', '/frame', { id: this.frame });
      return run();
    });
  }

  command(method, path, body) {
    return this.within(() => this.context.send(method, path, body));
  }

  script(script, args = []) {
    return this.command('POST', '/execute/sync', { script, args });
  }

  // A function with its argument, an expression, or statements; a promise is waited for.
  async evaluate(what, argument = null) {
    const body = typeof what === 'function' ? `(${what})(given)` : what;
    if (!isExpression(body)) return this.script(body);
    const script = `const [given, done] = arguments;
      (async () => (${body}))().then((value) => done({ value }), (error) => done({ error: String(error) }))`;
    const { value, error } = await this.command('POST', '/execute/async', { script, args: [argument] });
    if (error) throw new Error(error);
    return value;
  }

  // Of the document that is shown: WebDriver's is that of one which may only be on its way.
  url() {
    return patiently('URL', () => this.script('return location.href'));
  }

  title() {
    return patiently('title', () => this.script('return document.title'));
  }

  innerText(selector) {
    return patiently(selector, () => this.script('return document.querySelector(arguments[0]).innerText', [selector]));
  }

  // Does what leads to another page, and waits until that has come.
  async leading(run) {
    await patiently('page', () => this.script('window.isLeft = true'));
    await run();
    await until('other page', () => patiently('page', () => this.script("return !window.isLeft && document.readyState === 'complete'")));
  }

  async waitForLoadState() {
    await until('whole page', () => patiently('page', () => this.script("return document.readyState === 'complete'")));
  }

  async waitForURL(fits) {
    await until('URL', async () => {
      const [url, state] = await patiently('URL', () => this.script('return [location.href, document.readyState]'));
      return state === 'complete' && fits(new URL(url));
    });
  }

  goto(url) {
    return this.leading(() => this.command('POST', '/url', { url }));
  }

  goBack() {
    return this.leading(() => this.command('POST', '/back', {}));
  }

  goForward() {
    return this.leading(() => this.command('POST', '/forward', {}));
  }

  reload() {
    return this.leading(() => this.command('POST', '/refresh', {}));
  }

  withElement(selector, run) {
    return patiently(selector, () => this.within(async () => {
      const found = await this.context.send('POST', '/element', { using: 'css selector', value: selector });
      return run(`/element/${found[ELEMENT]}`);
    }));
  }

  click(selector) {
    return this.withElement(selector, (element) => this.context.send('POST', `${element}/click`, {}));
  }

  // As pasted: the driver's keyboard has no line ends and few letters.
  fill(selector, text) {
    const script = 'const field = document.querySelector(arguments[0]); field.focus(); field.value = arguments[1]';
    return patiently(selector, () => this.script(script, [selector, text]));
  }

  keys(keys) {
    const actions = keys.flatMap((value) => [{ type: 'keyDown', value }, { type: 'keyUp', value }]);
    return this.command('POST', '/actions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
  }

  locator(selector, { hasText } = {}) {
    const waitFor = () => until(`"${hasText}"`, async () => (await this.innerText(selector)).includes(hasText));
    return { click: () => this.click(selector), waitFor };
  }

  frameLocator() {
    return { first: () => this.frames()[1] };
  }

  // Its closing is the only event that is waited for.
  async waitForEvent() {
    await until('closed window', async () => !(await this.context.send('GET', '/window/handles')).includes(this.handle));
    this.context.known = this.context.known.filter((page) => page !== this);
  }

  async close() {
    await this.command('DELETE', '/window');
    await this.waitForEvent();
  }

  async screenshot({ path }) {
    writeFileSync(path, Buffer.from(await this.command('GET', '/screenshot'), 'base64'));
  }
}

export function launch(binary, given) {
  const opened = [];
  const newContext = async (options = {}) => {
    const context = await Context.open({ binary, ...given }, options);
    opened.push(context);
    return context;
  };
  return { newContext, close: () => Promise.all(opened.map((context) => context.close())) };
}
