// The certified oidc-provider as a child process: node provider.mjs SETTINGS.json
//
// SETTINGS: {"port": 0, "clients": [client metadata], "users": {name: {"password": .., "claims": {..}}}}
// Once ready it prints one line: {"issuer": .., "control": ..}. POST to the control URL: /rotate, /add-key, /retire-keys;
// GET /seen tells how often each path of the issuer was asked for.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import Provider from 'oidc-provider';

import { latest, newKeys } from './keys.mjs';
import { signInPage } from './page.mjs';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const cookieKeys = [randomBytes(32).toString('base64url')];
const seen = {};
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

// The provider cannot change its keys: a rotation is a new one, with the same clients and (in memory) sessions.
function restart(issuer) {
  provider = new Provider(issuer, {
    clients: settings.clients,
    jwks: { keys },
    cookies: { keys: cookieKeys },
    findAccount,
    loadExistingGrant: grantWhatIsAskedFor,
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username'],
      groups: ['groups'],
    },
    conformIdTokenClaims: false, // the claims of a scope stand in the ID token too
    pkce: { required: () => true },
    rotateRefreshToken: true,
    enabledJWA: {
      idTokenSigningAlgValues: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
    },
    ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 86400 },
    features: {
      backchannelLogout: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    // The provider's own fetch refuses loopback addresses, which is where the tests live.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  });
  for (const event of ['server_error', 'authorization.error', 'grant.error'])
    provider.on(event, (ctx, error) => console.error(event, error.message, error.error_description ?? '', error.error_detail ?? ''));
  answer = provider.callback();
}

async function form(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return new URLSearchParams(body);
}

async function interact(request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  if (prompt.name === 'consent') return provider.interactionFinished(request, response, { consent: {} });
  if (request.method !== 'POST') return signInPage(response, { status: 200 });
  const fields = await form(request);
  const name = fields.get('login');
  const user = Object.hasOwn(settings.users, name) ? settings.users[name] : undefined;
  if (!user || user.password !== fields.get('password')) return signInPage(response, { status: 401, name });
  return provider.interactionFinished(request, response, { login: { accountId: name } });
}

const front = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://provider');
  seen[pathname] = (seen[pathname] ?? 0) + 1;
  if (!pathname.startsWith('/interaction/')) return answer(request, response);
  return interact(request, response).catch((error) => {
    console.error('interaction', error.message);
    response.writeHead(400, { 'content-type': 'text/plain' }).end('This sign-in is over. Go back and start again.\n');
  });
});

function control(request, response) {
  const actions = {
    '/rotate': () => { keys = newKeys(); },
    '/add-key': () => { keys = [...newKeys(), ...keys]; },
    '/retire-keys': () => { keys = latest(keys); },
  };
  if (request.method === 'POST' && actions[request.url]) {
    actions[request.url]();
    restart(provider.issuer);
  }
  response.end(JSON.stringify(seen));
}

const listen = (server, port) => new Promise((done, failed) => {
  server.once('error', failed).listen(port, '127.0.0.1', () => done(`http://127.0.0.1:${server.address().port}`));
});

const issuer = await listen(front, settings.port ?? 0);
restart(issuer);
console.log(JSON.stringify({ issuer, control: await listen(http.createServer(control), 0) }));
