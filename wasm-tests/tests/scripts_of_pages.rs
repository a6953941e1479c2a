//! Requests of a page's scripts and parts, as a real browser sends them: what each is answered, and whether its sender can use it.

use serde_json::{Value, json};
use wasm_tests::{
    chromium::{text, walk},
    site::{ALICE, Site},
};

/// A public page of the app that holds this HTML.
fn public_page(site: &Site, html: &str) -> String {
    let html: String = url::form_urlencoded::byte_serialize(html.as_bytes()).collect();
    site.url(&format!("/public/page?html={html}"))
}

const KINDS: &str = r"(async () => {
  const told = (element, add) => new Promise((done) => {
    element.onload = () => done('loaded');
    element.onerror = () => done('failed');
    add(element);
  });
  const put = (element) => document.body.append(element);
  const make = (name, members) => Object.assign(document.createElement(name), members);
  const read = async (response) => `${response.status} ${(await response.json()).code}`;
  const frame = async (at) => {
    const element = make('iframe', { src: at });
    await told(element, put);
    return element;
  };
  const kinds = {
    fetch: (at) => fetch(at).then(read),
    'same-origin': (at) => fetch(at, { mode: 'same-origin', headers: { accept: 'text/html' } }).then(read),
    'no-cors': (at) => fetch(at, { mode: 'no-cors', method: 'POST', body: 'a' }).then(read),
    navigate: (at) => fetch(new Request(at, { mode: 'navigate' })).then(read),
    xhr: (at) => new Promise((done) => {
      const request = new XMLHttpRequest();
      request.open('GET', at);
      request.onloadend = () => done(`${request.status} ${request.getResponseHeader('vestibule-code')}`);
      request.send();
    }),
    eventsource: (at) => new Promise((done) => {
      const source = new EventSource(at);
      source.onerror = () => done(`error, state ${source.readyState}`);
    }),
    websocket: (at) => new Promise((done) => {
      const socket = new WebSocket(at.replace('http', 'ws'));
      socket.onclose = ({ code }) => done(`closed ${code}`);
    }),
    image: (at) => told(make('img', { src: at }), put),
    style: (at) => told(make('link', { rel: 'stylesheet', href: at }), put),
    script: (at) => told(make('script', { src: at }), put),
    module: (at) => told(make('script', { src: at, type: 'module' }), put),
    import: (at) => import(at).catch((error) => error.name),
    worker: (at) => new Promise((done) => { new Worker(at).onerror = () => done('failed'); }),
    beacon: async (at) => navigator.sendBeacon(at, 'a'),
    iframe: async (at) => (await frame(at)).contentDocument.body.innerText,
    object: (at) => told(make('object', { data: at }), put),
    embed: async (at) => told(make('embed', { src: at }), put),
    'form in iframe': async (at) => {
      const element = await frame('about:blank');
      element.name = 'target';
      const form = make('form', { action: at, method: 'post', target: 'target' });
      put(form);
      const loaded = told(element, () => form.submit());
      await loaded;
      return element.contentDocument.body.innerText;
    },
    'fetch in iframe': async (at) => read(await (await frame('/public/frame')).contentWindow.fetch(at)),
    prefetch: async (at) => told(make('link', { rel: 'prefetch', href: at }), put),
  };
  const seen = {};
  for (const [name, ask] of Object.entries(kinds)) {
    const at = (place) => `${location.origin}/${place}/${encodeURIComponent(name)}`;
    const late = new Promise((done) => setTimeout(done, 3000, 'nothing'));
    try { seen[name] = await Promise.race([ask(at('own')), late]); } catch (error) { seen[name] = `${error.name}: ${error.message}`; }
    try { await Promise.race([ask(at('public')), late]); } catch {}
  }
  return seen;
})()";

#[test]
fn probe() {
    let site = Site::start();
    let [_, seen] = walk(&site.url("/"), [json!(["open", public_page(&site, "kinds")]), json!(["run", KINDS])]);
    println!("{:#}", seen["answer"]);
    println!("{:#}", seen["navigations"]);
    for r in site.app.seen() {
        let h = |n: &str| r.headers.text(n).unwrap_or_default();
        println!("{} {} | {} {} {} | {} | {}", r.method, r.target.chars().take(40).collect::<String>(), h("sec-fetch-site"), h("sec-fetch-mode"), h("sec-fetch-dest"), h("accept"), h("sec-purpose"));
    }
    let _ = (ALICE, Value::Null, text(&seen, "title"));
}
