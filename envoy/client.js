// Sign-in for the scripts of a page behind Vestibule. The filter serves this module, without comments and indentation, at
// /oauth2/client.js; a copy elsewhere calls client("/oauth2"). What each function does is in client.d.ts.

/** @typedef {typeof import("./client.js")} Module */

/** @type {(code: string, status?: number, requestId?: string, cause?: unknown) => import("./client.js").SignInError} */
const failure = (code, status = 0, requestId, cause) =>
  Object.assign(new Error(`${code} (status ${status})`, { cause }), { code, status, requestId });

/** @type {<T>(ms: number, value: T) => Promise<T>} */
const wait = (ms, value) => new Promise((done) => setTimeout(done, ms, value));

// The window that leaves: the outermost one where it is of this site. In a frame on another site, a page of the filter leads out.
const outermost = () => {
  try {
    if (top?.origin === origin) return top;
  } catch {}
  return window;
};

// False after a while where the page has stayed: its user can refuse to leave it.
/** @param {Window} page @param {string} url */
const leave = (page, url) => {
  page.location.assign(url);
  return wait(30000, false);
};

// Ends a loop of sign-ins without a click, such as where no rule ever admits this user.
const guard = () => {
  const now = Date.now();
  /** @type {number[]} */
  let recent = [];
  try {
    recent = JSON.parse(sessionStorage.vestibule ?? "[]");
    recent = recent.filter((at) => at > now - 60000);
    sessionStorage.vestibule = JSON.stringify([...recent, now]);
  } catch {}
  if (recent.length > 2 && !navigator.userActivation?.isActive) throw failure("sign_in_loop");
};

/** @type {Module["client"]} */
export const client = (prefix) => {
  /** @type {Promise<boolean> | undefined} */
  let pending;
  let signIns = 0;

  // With the origin: a page's <base> can name another.
  /** @param {string} path @param {Record<string, string>} [query] */
  const at = (path, query) => `${origin}${prefix}/${path}?${new URLSearchParams(query)}`;

  /** @type {Module["user"]} */
  const user = async ({ signal } = {}) => {
    const response = await fetch(at("userinfo"), { signal }).catch((cause) => {
      throw signal?.aborted ? cause : failure("unreachable", 0, undefined, cause);
    });
    const { claims, code = "unexpected_answer", request_id } = (await response.json().catch(() => null)) ?? {};
    if (claims) return claims;
    if (code === "sign_in_required") return null;
    throw failure(code, response.status, request_id);
  };

  /** @param {string} url */
  const inPopup = async (url) => {
    const popup = open(url, "_blank", "popup,width=500,height=700");
    if (!popup) throw failure("popup_blocked");
    /** @type {Document | undefined} */
    let asked;
    // A provider's Cross-Origin-Opener-Policy makes an open popup look closed: then the focus tells.
    while (!(popup.closed && document.hasFocus())) {
      await wait(300, 0);
      try {
        const { document: page, location: { host, pathname } } = popup;
        // Of this origin, as it can be read; an empty one has no host. A provider may be here too: each page is asked about once.
        if (page !== asked && host && !pathname.startsWith(`${prefix}/`) && (await user())) break;
        asked = page;
      } catch {}
    }
    popup.close();
    return !!(await user());
  };

  // `asked` has the parameters that an answer asks for; the options override them.
  /** @param {Iterable<[string, string]>} asked @param {import("./client.js").SignInOptions} [options] */
  const begin = async (asked, { returnTo, provider, parameters, popup } = {}) => {
    const page = outermost();
    const rd = `${returnTo ?? page.location.href.slice(origin.length)}`;
    const url = at("start", { ...Object.fromEntries(asked), ...(provider && { provider }), ...parameters, rd });
    if (popup) return inPopup(url);
    guard();
    return leave(page, url);
  };

  /** @type {Module["signIn"]} */
  const signIn = (options) => begin([], options);

  /** @type {Module["signOut"]} */
  const signOut = async ({ returnTo } = {}) => {
    const page = outermost();
    const url = at("sign_out", returnTo ? { rd: `${returnTo}` } : {});
    if (page === top) return leave(page, url);
    // In a frame, where the pages of a sign-out may not be shown. The filter has not checked this target: it could be a script.
    const to = new URL(returnTo ?? location.href.split("#")[0], origin);
    const { status, headers } = await fetch(url, { method: "POST", redirect: "manual" });
    if (status > 399) throw failure(headers.get("vestibule-code") ?? "unexpected_answer", status);
    return leave(page, to.origin === origin ? to.href : origin);
  };

  /** @param {import("./client.js").SignInRequired} required */
  const lead = async ({ code, signIn }) => {
    // A tab in the background waits until its user comes back, who may have signed in elsewhere by then.
    const wasHidden = document.hidden;
    while (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    return (wasHidden && code === "sign_in_required" && !!(await user())) || signIn();
  };

  /** @type {Module["fetchWithSignIn"]} */
  const fetchWithSignIn = async (input, init) => {
    const again = input instanceof Request ? input.clone() : new Request(input);
    if (!again.url.startsWith(`${origin}/`)) return fetch(input, init);
    const before = signIns;
    const response = await fetch(input, init);
    if (response.status !== 401 || !response.headers.has("vestibule-code")) return response;
    const { code, sign_in_url } = await response.clone().json().catch(() => ({}));
    if (!sign_in_url) return response;
    // Requests that fail together lead to one sign-in.
    if (before === signIns) {
      // To leave a page that sends something could lose what its user typed.
      const ask = init?.onSignInRequired ?? (/^get$/i.test(init?.method ?? again.method) && lead);
      if (!ask) return response;
      const signIn = begin.bind(null, new URL(sign_in_url).searchParams);
      pending ??= Promise.resolve(ask({ code, response, signIn })).finally(() => (pending = undefined));
      if (!(await pending)) return response;
      signIns++;
    }
    return init?.body instanceof ReadableStream ? response : fetch(again, init);
  };

  return { user, signIn, signOut, fetchWithSignIn };
};

const here = import.meta.url;
export const { user, signIn, signOut, fetchWithSignIn } = client(new URL(".", here).pathname.slice(0, -1));
