// An HTTP proxy for a browser driver that neither reports redirects nor switches the network off. It ends TLS for the hosts below
// localhost, as a load balancer does, and sends plain HTTP to their port on this machine.
import http from 'node:http';
import https from 'node:https';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const key = (name) => readFileSync(new URL(`../keys/${name}`, import.meta.url));

// A path that the proxy answers itself, for a page of this site that does nothing.
export const BLANK = '/.blank';

// Where browsers report what a Content-Security-Policy has stopped.
const REPORTS = '/.reports';

const isNavigation = ({ 'sec-fetch-mode': mode, accept = '' }) => (mode ? mode === 'navigate' : accept.startsWith('text/html'));

// {port, close(), isOffline}. `answered` gets {method, status, url} of each page load, and `complained` each report of a policy; no
// cookie comes from the host `blocked`; and requests prefer the `language`, if there is one.
export async function start({ blocked, language, answered, complained }) {
  const proxy = { isOffline: false };

  const ask = (request) => {
    const host = request.headers.host.replace(/:\d+$/, '');
    const url = new URL(request.url, `${request.socket.encrypted ? 'https' : 'http'}://${request.headers.host}`);
    const { method } = request;
    const headers = { ...request.headers, ...(language && { 'accept-language': language }) };
    const send = () => http.request({ host: '127.0.0.1', port: url.port, path: url.pathname + url.search, method, headers, agent: false });
    return { host, url, send };
  };

  const take = async (request, response) => {
    complained(JSON.parse((await request.toArray()).join(''))['csp-report']);
    response.end();
  };

  const pass = (request, response) => {
    const { host, url, send } = ask(request);
    if (url.pathname === BLANK) return response.setHeader('content-type', 'text/html').end(`<!doctype html><title>${url.origin}</title>`);
    if (proxy.isOffline) return request.socket.destroy();
    if (url.pathname === REPORTS) return take(request, response);
    const sent = send();
    sent.on('response', (answer) => {
      if (isNavigation(request.headers)) answered({ method: request.method, status: answer.statusCode, url: url.href });
      const isOf = (name) => (_, at, all) => all[at & ~1].toLowerCase() === name;
      const isPolicy = isOf('content-security-policy');
      const headers = answer.rawHeaders
        .map((text, at, all) => (complained && at % 2 && isPolicy(text, at, all) ? `${text}; report-uri ${REPORTS}` : text))
        .filter((...entry) => host !== blocked || !isOf('set-cookie')(...entry));
      response.writeHead(answer.statusCode, headers);
      answer.pipe(response);
    });
    sent.on('error', () => request.socket.destroy());
    response.on('close', () => sent.destroy());
    return request.pipe(sent);
  };

  const upgrade = (request, socket, head) => {
    const sent = ask(request).send();
    sent.on('upgrade', (answer, other, first) => {
      const lines = answer.rawHeaders.map((text, at) => text + (at % 2 ? '\r\n' : ': ')).join('');
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`);
      socket.write(first);
      other.write(head);
      other.pipe(socket).pipe(other);
      for (const end of [socket, other]) end.on('error', () => [socket, other].forEach((each) => each.destroy()));
    });
    sent.on('response', (answer) => {
      socket.write(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nconnection: close\r\n\r\n`);
      answer.pipe(socket);
    });
    sent.on('error', () => socket.destroy());
    sent.end();
  };

  const listen = async (server) => {
    server.on('upgrade', upgrade).on('clientError', (_, socket) => socket.destroy());
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return server.address().port;
  };
  const server = http.createServer(pass);
  const encrypted = https.createServer({ key: key('tls.pem'), cert: key('tls.pub.pem') }, pass);
  const [port, tls] = await Promise.all([server, encrypted].map(listen));
  server.on('connect', (_, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    // The first byte of TLS says so.
    socket.once('data', (first) => {
      const other = connect(first[0] === 0x16 ? tls : port, '127.0.0.1').on('error', () => socket.destroy());
      other.write(first);
      socket.on('error', () => other.destroy()).pipe(other).pipe(socket);
    });
  });
  proxy.port = port;
  proxy.close = () => [server, encrypted].forEach((each) => each.closeAllConnections());
  return proxy;
}
