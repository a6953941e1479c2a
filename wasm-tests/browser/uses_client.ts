// An app that uses the module: this must compile, and the lines that expect an error must be one.
import { client, fetchWithSignIn, signIn, signOut, user, type Claims, type SignInError } from "../../envoy/client.js";

const claims: Claims | null = await user({ signal: AbortSignal.timeout(1000) });
const subject: string | undefined = claims?.sub;
const isIn: boolean = await signIn({ returnTo: new URL(location.href), provider: "staff", parameters: { login_hint: "a" }, popup: true });
await signOut({ returnTo: "/" });
const answer: Response = await fetchWithSignIn("/api", {
  method: "POST",
  body: subject,
  onSignInRequired: async ({ code, signIn }) => code === "sign_in_required" && (await signIn({ popup: isIn })),
});
const own = client("/_auth");
await own.user().catch((error: SignInError) => [error.code, error.status, error.requestId, answer.ok]);

// @ts-expect-error a claim may be missing, and be of any kind
claims.email.length;
// @ts-expect-error no such option
await signIn({ returnTO: "/" });
// @ts-expect-error no such answer
await fetchWithSignIn("/api", { onSignInRequired: () => "yes" });
// @ts-expect-error the prefix is not optional
client();
