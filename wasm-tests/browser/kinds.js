// Runs in a public page: sends each kind of request that a page can send, to a path that needs a session and to a public one.
// Its value: what the sender makes of the answer without a session, by kind.
(async () => {
  const told = (element, add) => new Promise((done) => {
    element.onload = () => done('loaded');
    element.onerror = () => done('failed');
    add(element);
  });
  const put = (element) => document.body.append(element);
  const make = (name, members) => Object.assign(document.createElement(name), members);
  const read = async (response) => `${response.status} ${(await response.json()).code}`;
  const heading = (frame) => frame.contentDocument.querySelector('h1')?.innerText;
  const frame = async (at, name = '') => {
    const element = make('iframe', { src: at, name });
    await told(element, put);
    return element;
  };
  const kinds = {
    navigate: async (at) => fetch(new Request(at, { mode: 'navigate' })).then(read),
    'fetch': (at) => fetch(at).then(read),
    'fetch, same-origin': (at) => fetch(at, { mode: 'same-origin', headers: { accept: 'text/html' } }).then(read),
    'fetch, no-cors, POST': (at) => fetch(at, { mode: 'no-cors', method: 'POST', body: 'a' }).then(read),
    'fetch in a frame': async (at) => read(await (await frame('/public/frame')).contentWindow.fetch(at)),
    'fetch with keepalive': (at) => fetch(at, { keepalive: true }).then(read),
    XMLHttpRequest: (at) => new Promise((done) => {
      const request = new XMLHttpRequest();
      request.open('GET', at);
      request.onloadend = () => done(`${request.status} ${request.getResponseHeader('vestibule-code')}`);
      request.send();
    }),
    EventSource: (at) => new Promise((done) => {
      const source = new EventSource(at);
      source.onerror = () => {
        done(source.readyState === EventSource.CLOSED ? 'error, closed' : 'error, tries again');
        source.close();
      };
    }),
    WebSocket: (at) => new Promise((done) => {
      const socket = new WebSocket(at.replace('http', 'ws'));
      socket.onclose = ({ code }) => done(`closed ${code}`);
      socket.onopen = () => done('open');
    }),
    sendBeacon: async (at) => `${navigator.sendBeacon(at, 'a')}`,
    img: (at) => told(make('img', { src: at }), put),
    'link rel=stylesheet': (at) => told(make('link', { rel: 'stylesheet', href: at }), put),
    'link rel=prefetch': (at) => told(make('link', { rel: 'prefetch', href: at }), put),
    'link rel=modulepreload': (at) => told(make('link', { rel: 'modulepreload', href: at }), put),
    script: (at) => told(make('script', { src: at }), put),
    'script type=module': (at) => told(make('script', { src: at, type: 'module' }), put),
    'import()': (at) => import(at),
    Worker: (at) => new Promise((done) => { new Worker(at).onerror = () => done('failed'); }),
    iframe: async (at) => heading(await frame(at)),
    'form in an iframe': async (at) => {
      const name = `target ${at}`;
      const target = await frame('/public/frame', name);
      const form = make('form', { action: at, method: 'post', target: name });
      put(form);
      await told(target, () => form.submit());
      return heading(target);
    },
    embed: (at) => told(make('embed', { src: at }), put),
    object: (at) => told(make('object', { data: at }), put),
  };
  const seen = {};
  for (const [name, ask] of Object.entries(kinds)) {
    const query = new URLSearchParams({ [name]: '' }).toString().slice(0, -1);
    for (const place of ['own', 'public']) {
      const late = new Promise((done) => setTimeout(done, 3000, 'nothing'));
      const answer = await Promise.race([ask(`${location.origin}/${place}/kind?${query}`), late]).catch((error) => error.name);
      if (place === 'own') seen[name] = answer;
    }
  }
  return seen;
})()
