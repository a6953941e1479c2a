// GitHub in this process, as far as it concerns signing in: node github.mjs SETTINGS
// SETTINGS: {"port": 1, "behind": 2, "seed": {..}, "teams": {login: [[org, slug], ..]}}
// The emulator listens on `behind`. It cannot be asked whose teams are whose; that is answered on `port`, where all else is
// handed on to it.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createEmulator } from 'emulate';

const { port, behind, seed, teams } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const emulator = await createEmulator({ service: 'github', port: behind, seed: { github: seed } });

async function answerTeams(request, response) {
  const who = await fetch(`${emulator.url}/user`, { headers: { authorization: request.headers.authorization ?? '' } });
  const { login } = await who.json();
  const list = (teams[login] ?? []).map(([org, slug]) => ({ slug, name: slug, organization: { login: org } }));
  response.writeHead(who.status, { 'content-type': 'application/json' }).end(JSON.stringify(list));
}

function handOn(request, response) {
  const { method, headers, url } = request;
  request.pipe(http.request(`${emulator.url}${url}`, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  }));
}

const front = http.createServer((request, response) => {
  const asksForTeams = request.url.split('?')[0] === '/user/teams';
  return asksForTeams ? answerTeams(request, response) : handOn(request, response);
});
front.listen(port, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` })));
