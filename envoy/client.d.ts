/**
 * Sign-in for the scripts of a page behind Vestibule, as the filter serves it at `/oauth2/client.js`.
 * How to use it: envoy/docs/single-page-apps.md.
 */

/** What is known of the user: `sub`, and the claims that the operator lists in `userinfo_claims`. */
export interface Claims {
  readonly sub: string;
  readonly [name: string]: unknown;
}

/** An error of the functions of this module. */
export interface SignInError extends Error {
  /**
   * What is wrong: a code of the filter (its page on troubleshooting has all of them), or
   *
   * - `popup_blocked`: the browser opens no window, since the user has not just clicked or pressed a key (in Safari: since this
   *   is not the handler of that);
   * - `sign_in_loop`: three sign-ins of this tab in a minute, without a user who clicks, did not help;
   * - `unexpected_answer`: something else than the filter has answered;
   * - `unreachable`: nothing has answered, such as without a network; `cause` has the browser's error.
   */
  readonly code: string;
  /** The status of the answer, 0 without one. */
  readonly status: number;
  /** The id of the request in the log of the filter, if there was an answer and Envoy gives ids. */
  readonly requestId?: string;
}

/** How to sign in. */
export interface SignInOptions {
  /**
   * Where to come back to: a path of this site, which begins with a slash, or a URL that the operator lists. By default it is
   * the page that the window shows, with its fragment.
   */
  returnTo?: string | URL;
  /** The name of a provider, or several with commas between them; by default the user chooses where there are several. */
  provider?: string;
  /** Further parameters of the start path, such as `login_hint` where `sign_in.pass_parameters` lists it. */
  parameters?: Record<string, string>;
  /** Sign in in a window of its own, so that the page stays as it is. It must be asked for in answer to a click or a key. */
  popup?: boolean;
}

/** How to sign out. */
export interface SignOutOptions {
  /**
   * Where to go afterwards: a path of this site, or a URL that the operator lists. By default it is a page of the filter. In a frame of
   * another site only a page of this site counts, and by default it is the page itself, loaded again.
   */
  returnTo?: string | URL;
}

/** A request that needs a sign-in. */
export interface SignInRequired {
  /** `sign_in_required`, or `insufficient_user_authentication` where a rule asks for a stronger or more recent one. */
  readonly code: string;
  /** The filter's answer, status 401. */
  readonly response: Response;
  /** {@link signIn}, with what the answer asks for: the providers that count, a stronger sign-in. */
  readonly signIn: (options?: SignInOptions) => Promise<boolean>;
}

/**
 * Decides what happens when a request needs a sign-in. True means that the user has signed in: the request is sent once more.
 * With false its answer, status 401, is handed to the caller. Requests that fail together lead to one call.
 */
export type OnSignInRequired = (required: SignInRequired) => boolean | Promise<boolean>;

/** The options of `fetch`, and one more. */
export interface FetchWithSignInInit extends RequestInit {
  /**
   * By default a GET leads to the sign-in (in a tab in the background once the user comes to it), and the caller of another
   * request gets the answer, status 401: to leave the page could lose what its user typed.
   */
  onSignInRequired?: OnSignInRequired;
}

/** The functions of this module. */
export interface Client {
  /**
   * Who is signed in: the claims, or null. It does not keep the session alive.
   *
   * @throws {SignInError} for any other answer; what `signal` says if it is aborted.
   */
  user(options?: { signal?: AbortSignal }): Promise<Claims | null>;
  /**
   * Leads the window to the sign-in and back; a frame of this site leads the page around it. With `popup` it tells whether the
   * user is signed in once the popup has closed. Without, the page is left before that: false after 30 seconds means that it
   * has stayed.
   *
   * @throws {SignInError} `sign_in_loop`, `popup_blocked`.
   */
  signIn(options?: SignInOptions): Promise<boolean>;
  /** Ends the session here and at the provider, and leaves the page; false after 30 seconds means that it has stayed. */
  signOut(options?: SignOutOptions): Promise<boolean>;
  /**
   * `fetch`, and a sign-in where the filter asks for one. The app's own 401 is an answer like every other, and requests to
   * other sites are those of `fetch`. A request is sent once more at most, and never where its body is a stream.
   */
  fetchWithSignIn(input: RequestInfo | URL, init?: FetchWithSignInInit): Promise<Response>;
}

/** The functions for a filter with this `prefix`, without a slash at its end: for a copy of this module, and bundles. */
export function client(prefix: string): Client;

export const user: Client["user"];
export const signIn: Client["signIn"];
export const signOut: Client["signOut"];
export const fetchWithSignIn: Client["fetchWithSignIn"];
