// Pictures of a page: {url, folder, user?, password?}, signed in first if there is a user. With {link} in place of a user it
// is the page behind the first link or button of that one, and with {then} the one that is opened after it in the same tab.
// With {frame: true} it is the page in the first frame of that one.
// With {scripts: false} no page may run one, and axe-core, which needs some, is left out. {language} is what the browser prefers.
// Writes light.png, dark.png, phone.png and narrow.png (320 pixels wide, as WCAG 2.2, 1.4.10, has it), and reports what the
// page says, whether one has to scroll sideways, how well its texts stand out (WCAG 2.2, 1.4.3: the contrast of each), its
// images, how large its controls are, what the Tab key reaches, what axe-core finds in it, and every complaint of the browser's
// console, a blocked style among them.
import { readFileSync } from 'node:fs';
import { fillIn, leading, observe, required, seen } from './browser.mjs';

const AXE = readFileSync(required.resolve('axe-core/axe.min.js'), 'utf8');

const LOOKS = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  narrow: { viewport: { width: 320, height: 568 }, colorScheme: 'dark', isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

// The contrast of every text in the page with what is behind it: [{text, contrast}].
function contrasts() {
  const channels = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, a } = channels(getComputedStyle(at).backgroundColor);
      if (a === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  return [...document.body.querySelectorAll('*')].filter(hasText).map((element) => {
    const [dark, light] = [channels(getComputedStyle(element).color).rgb, behind(element)].map(luminance).sort((a, b) => a - b);
    return { text: element.innerText, contrast: (light + 0.05) / (dark + 0.05) };
  });
}

// The elements that a user can click or fill in: [{text, width, height}].
function controls() {
  const shown = [...document.querySelectorAll('a, button, input')].filter((element) => element.getClientRects().length);
  return shown.map((element) => {
    const { width, height } = element.getBoundingClientRect();
    return { text: element.innerText || element.name, width, height };
  });
}

// The images: [{beside, type, natural, width, height, alt}], where `natural` is the width of the image itself, 0 if it is broken.
function images() {
  return [...document.images].map((image) => {
    const { width, height } = image.getBoundingClientRect();
    const type = image.src.slice(0, image.src.indexOf(';'));
    return { beside: image.parentElement.innerText, type, natural: image.naturalWidth, width, height, alt: image.getAttribute('alt') };
  });
}

// The element that the Tab key reaches first, and whether its focus is visible: {tag, text, outline}.
async function focus(page, shown) {
  await page.keyboard.press('Tab');
  return shown.evaluate(() => {
    const { tagName, innerText } = document.activeElement;
    const text = innerText || document.activeElement.name;
    return { tag: tagName, text, outline: getComputedStyle(document.activeElement).outlineStyle };
  });
}

// The violations that axe-core finds, including those of best practices: [{rule, impact, nodes: [html]}].
async function violations(shown) {
  await shown.evaluate(AXE);
  const { violations } = await shown.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  return violations.map(({ id, impact, nodes }) => ({ rule: id, impact, nodes: nodes.map((node) => node.html) }));
}

// The browser says in its console that the page itself has an error status; a page that must have one is no fault.
const ownStatus = (message, page) => page.frames().some((frame) => frame.url() === message.location().url) && message.text().startsWith('Failed to load resource');

await observe(async (browser, given) => {
  const report = {};
  for (const [name, look] of Object.entries(LOOKS)) {
    const scripts = given.scripts ?? true;
    const context = await browser.newContext({ ...look, javaScriptEnabled: scripts, locale: given.language });
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => {
      if (message.type() !== 'error' || message.location().url.endsWith('/favicon.ico') || ownStatus(message, page)) return;
      complaints.push(message.text());
    });
    await page.goto(given.link ?? given.url);
    if (given.link) await leading(page, () => page.click('a, button'));
    if (given.then) await page.goto(given.then);
    if (given.user) {
      await fillIn(page, given);
      await page.waitForURL((url) => url.origin === new URL(given.url).origin);
    }
    const file = `${given.folder}/${name}.png`;
    await page.screenshot({ path: file, fullPage: true });
    const shown = given.frame ? page.frames()[1] : page;
    const rendering = await shown.evaluate(() => ({
      scrolls_sideways: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      background: getComputedStyle(document.body).backgroundColor,
      color: getComputedStyle(document.body).color,
      language: document.documentElement.lang,
      direction: document.documentElement.dir,
    }));
    const [texts, sizes, logos] = [await shown.evaluate(contrasts), await shown.evaluate(controls), await shown.evaluate(images)];
    report[name] = { file, ...await seen(shown), ...rendering, texts, controls: sizes, images: logos, focus: await focus(page, shown), complaints, violations: scripts ? await violations(shown) : [] };
    await context.close();
  }
  return report;
});
