// The provider's pages: the sign-in form, and what is asked and said at a sign-out.

const escaped = (text) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

const page = (title, body) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 20rem; margin: 15vh auto 0; padding: 0 1rem }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input, button { margin: 0 0 1rem; padding: .5rem }
[role=alert] { color: #d33 }
</style>
<h1>${title}</h1>
${body}
</html>
`;

export function signInPage(response, { status, name = '' }) {
  const complaint = status === 200 ? '' : '<p role="alert">Wrong user name or password.</p>';
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(page('Sign in', `${complaint}
<form method="post">
<label for="login">User name</label>
<input id="login" name="login" value="${escaped(name ?? '')}" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Sign in</button>
</form>`));
}

// `form` is the provider's own, with its xsrf field; the buttons are ours.
export function signOutPage(ctx, form) {
  ctx.body = page('Sign out?', `${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>
<button type="submit" form="op.logoutForm">Stay signed in</button>`);
}

export function signedOutPage(ctx) {
  ctx.body = page('Signed out', '<p>You are signed out at the provider.</p>');
}
