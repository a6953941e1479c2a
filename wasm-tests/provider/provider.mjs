// The certified oidc-provider as a child process: node provider.mjs SETTINGS.json
//
// SETTINGS: {"host": "127.0.0.1", "port": 0, "clients": [client metadata], "users": {name: {"password": .., "claims": {..}}}, "ttl": {"AccessToken":
// seconds, ..}, "rotate_refresh_tokens": true, "always_refresh_tokens": false, "scopes": [further ones], "listen": 0}
// With `listen` it listens on that port, and something else on `port` passes connections on.
// With `tls` ({"port": .., "key": FILE, "certificate": FILE}) its token and revocation endpoints are also there by TLS, where
// clients show a certificate (RFC 8705); metadata name them as aliases.
// With `door` (the same fields) all of it is there by TLS, as behind a proxy that ends TLS: what it says of itself stays the same.
// A client that asks with `resource=` gets a JWT as access token (RFC 8707, RFC 9068), with the scopes `read` and `write`.
// With `acr_values` it knows these authentication context classes and gives the first one asked for; else it ignores what is asked
// for. With `signed_in_ago` the user of a sign-in without `max_age` has authenticated so many seconds before.
// Once ready it prints one line: {"issuer": .., "control": ..}. POST to the control URL: /rotate, /add-key, /retire-keys,
// /revoke-grants, /forget (everybody who is signed in), /down, /up. GET /seen tells how often each path of the issuer was
// asked for, and how often each event came to pass.
import { randomBytes } from 'node:crypto';
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import Provider, { interactionPolicy } from 'oidc-provider';

import { latest, newKeys } from './keys.mjs';
import { Memory, forget, revokeGrants } from './memory.mjs';
import { signInPage, signOutPage, signedOutPage } from './page.mjs';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const newCookieKeys = () => [randomBytes(32).toString('base64url')];
let cookieKeys = newCookieKeys();
const seen = {};
const nonceSecret = randomBytes(32);
let keys = newKeys();
let provider;
let answer;

// A grant for everything asked for, so that nobody is asked to consent.
async function grantWhatIsAskedFor(ctx) {
  const { session, client, params } = ctx.oidc;
  const known = session.grantIdFor(client.clientId);
  const grant = (known && await provider.Grant.find(known))
    || new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope ?? 'openid');
  await grant.save();
  return grant;
}

async function findAccount(ctx, name) {
  const user = settings.users[name];
  return user && { accountId: name, claims: async () => ({ sub: name, preferred_username: name, ...user.claims }) };
}

// Every browser finds *.localhost on this machine; the C library does not, and node asks that.
const { lookup } = dns;
dns.lookup = (host, ...rest) => lookup(host.endsWith('.localhost') ? '127.0.0.1' : host, ...rest);

// The provider cannot change its keys: a rotation is a new one, with the same clients and (in memory) sessions.
function restart(issuer) {
  provider = new Provider(issuer, {
    clients: settings.clients,
    adapter: Memory,
    jwks: { keys },
    cookies: { keys: cookieKeys },
    findAccount,
    loadExistingGrant: grantWhatIsAskedFor,
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}`, policy: policy() },
    acrValues: settings.acr_values,
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups', ...settings.scopes ?? []],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username'],
      groups: ['groups'],
    },
    conformIdTokenClaims: settings.claims_at_userinfo ?? false, // else the claims of a scope stand in the ID token too
    discovery: {
      prompt_values_supported: ['none', 'login', 'consent'], // it refuses all others
      ...settings.tls && { mtls_endpoint_aliases: aliases(settings.tls.port) },
    },
    clientAuthMethods: [
      'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none',
      ...settings.tls ? ['tls_client_auth', 'self_signed_tls_client_auth'] : [],
    ],
    pkce: { required: () => true },
    rotateRefreshToken: settings.rotate_refresh_tokens ?? true,
    issueRefreshToken: async (ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') && (settings.always_refresh_tokens || source.scopes.has('offline_access')),
    enabledJWA: {
      requestObjectSigningAlgValues: ['ES256'],
      dPoPSigningAlgValues: ['RS256', 'ES256', 'ES384', 'EdDSA'],
      clientAuthSigningAlgValues: ['HS256', 'RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
      idTokenSigningAlgValues: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
    },
    ttl: {
      AccessToken: 3600, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 86400,
      ...settings.ttl,
    },
    features: {
      backchannelLogout: { enabled: true },
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret, requireNonce: () => Boolean(settings.proof_nonces) },
      introspection: { enabled: true },
      mTLS: {
        enabled: Boolean(settings.tls),
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.()?.toString(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_subject_dn' && ctx.socket.getPeerX509Certificate().subject === expected,
      },
      pushedAuthorizationRequests: { enabled: true },
      requestObjects: { enabled: true },
      jwtUserinfo: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => ({
          audience: resource, scope: 'read write', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
        }),
      },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: signOutPage, postLogoutSuccessSource: signedOutPage },
    },
    // The provider's own fetch refuses loopback addresses, which is where the tests live.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  });
  for (const event of ['server_error', 'authorization.error', 'grant.error'])
    provider.on(event, (ctx, error) => console.error(event, error.message, error.error_description ?? '', error.error_detail ?? ''));
  provider.on('backchannel.error', (ctx, error) => console.error('backchannel.error', error.message));
  for (const event of ['backchannel.success', 'backchannel.error', 'end_session.success', 'refresh_token.saved'])
    provider.on(event, () => { seen[event] = (seen[event] ?? 0) + 1; });
  answer = provider.callback();
}

const aliases = (port) => ({
  token_endpoint: `https://127.0.0.1:${port}/token`,
  revocation_endpoint: `https://127.0.0.1:${port}/token/revocation`,
});

async function form(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return new URLSearchParams(body);
}

// A session of a class that was not asked for leads to the form; the provider itself does so for essential ones alone.
function policy() {
  const { Check, base } = interactionPolicy;
  const prompts = base();
  prompts.get('login').checks.add(new Check('acr_values', 'another class is asked for', (ctx) => {
    const wanted = known(ctx.oidc.params);
    return wanted.length > 0 && !wanted.includes(ctx.oidc.acr);
  }));
  return prompts;
}

// The classes that are asked for and known.
const known = ({ acr_values }) => (acr_values ?? '').split(' ').filter((value) => settings.acr_values.includes(value));

async function interact(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === 'consent') return provider.interactionFinished(request, response, { consent: {} });
  if (request.method !== 'POST') return signInPage(response, { status: 200 });
  const fields = await form(request);
  const name = fields.get('login');
  const user = Object.hasOwn(settings.users, name) ? settings.users[name] : undefined;
  if (!user || user.password !== fields.get('password')) return signInPage(response, { status: 401, name });
  const ts = Math.floor(Date.now() / 1000) - (params.max_age === undefined ? settings.signed_in_ago : 0);
  return provider.interactionFinished(request, response, { login: { accountId: name, acr: known(params)[0], ts } });
}

function serve(request, response) {
  const { pathname } = new URL(request.url, 'http://provider');
  seen[pathname] = (seen[pathname] ?? 0) + 1;
  if (!pathname.startsWith('/interaction/')) return answer(request, response);
  return interact(request, response).catch((error) => {
    console.error('interaction', error.message);
    response.writeHead(400, { 'content-type': 'text/plain' }).end('This sign-in is over. Go back and start again.\n');
  });
}

const front = http.createServer(serve);

// As long as Envoy keeps a connection: a request on one that is just being closed comes back as 503.
front.keepAliveTimeout = 3_600_000;

function down() {
  front.closeAllConnections();
  return new Promise((done) => { front.close(done); });
}

async function control(request, response) {
  const actions = {
    '/rotate': () => { keys = newKeys(); },
    '/add-key': () => { keys = [...newKeys(), ...keys]; },
    '/retire-keys': () => { keys = latest(keys); },
    '/revoke-grants': revokeGrants,
    '/forget': () => { forget(); cookieKeys = newCookieKeys(); },
    '/down': down,
    '/up': () => listen(front, port),
  };
  if (request.method === 'POST' && actions[request.url]) {
    await actions[request.url]();
    restart(provider.issuer);
  }
  response.end(JSON.stringify(seen));
}

const listen = (server, port) => new Promise((done, failed) => {
  server.once('error', failed).listen(port, '127.0.0.1', () => done(server.address().port));
});

const url = (port) => `http://${settings.host}:${port}`;
const port = await listen(front, settings.listen ?? settings.port ?? 0);
if (settings.tls) {
  const [key, cert] = [settings.tls.key, settings.tls.certificate].map((file) => readFileSync(file));
  // A client without a certificate, or with another, is refused by the provider, not by TLS.
  const options = { key, cert, ca: cert, requestCert: true, rejectUnauthorized: false };
  await listen(https.createServer(options, serve), settings.tls.port);
}
if (settings.door) {
  const [key, cert] = [settings.door.key, settings.door.certificate].map((file) => readFileSync(file));
  await listen(tls.createServer({ key, cert }, (outside) => {
    const inside = net.connect(settings.listen ?? port, '127.0.0.1');
    for (const [one, other] of [[outside, inside], [inside, outside]]) one.on('error', () => other.destroy()).pipe(other);
  }), settings.door.port);
}
restart(url(settings.listen ? settings.port : port));
console.log(JSON.stringify({ issuer: provider.issuer, control: url(await listen(http.createServer(control), 0)) }));
