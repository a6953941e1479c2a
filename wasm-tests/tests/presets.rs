//! Presets in the real Envoy, beside the sign-ins of the matrix.

use serde_json::json;
use wasm_tests::{
    issuer::{Answer, CLIENT_ID, CLIENT_SECRET, Endpoint, Fault, IdToken, Issuer, Spoil},
    world::{World, assert_signed_in},
};

/// Makes a token one of a tenant: `iss` names one, `tid` another or the same.
fn of_tenant(token: &mut IdToken, iss: &str, tid: &str) {
    let issuer = token.claims["iss"].as_str().expect("an issuer").to_owned();
    token.set("iss", json!(format!("{issuer}/{iss}/v2.0")));
    token.set("tid", json!(tid));
}

/// Metadata and ID tokens as Microsoft's documentation has them for `common`
/// (<https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc>): a template in place of the issuer, which
/// the emulator does not have.
#[test]
fn microsoft_with_every_tenant() {
    let issuer = Issuer::start();
    let url = issuer.url();
    issuer.misbehave(Fault::Answer(
        Endpoint::Discovery,
        Answer::Edited(|metadata| {
            metadata["issuer"] =
                json!(format!("{}/{{tenantid}}/v2.0", metadata["issuer"].as_str().unwrap_or_default()));
            metadata["authorization_response_iss_parameter_supported"] = json!(false);
        }),
    ));
    let world = World::around(issuer, |setup| {
        setup.workers = 1;
        setup.configuration["providers"][0] = json!({
            "preset": "microsoft", "with": {"tenant": "common"},
            "issuer": format!("{url}/{{tenantid}}/v2.0"),
            "metadata_url": format!("{url}/.well-known/openid-configuration"),
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        });
    });
    const A: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    const B: &str = "00000000-6c67-4c5b-b112-36a304b66dad";
    let cases: [(Spoil, bool); 4] = [
        (|token| of_tenant(token, A, A), true),
        (|token| of_tenant(token, B, B), true),
        (|token| of_tenant(token, A, B), false),
        (|token| of_tenant(token, "common", "common"), false),
    ];
    for (spoil, is_good) in cases {
        let browser = world.browser();
        let begun = browser.get(&world.url("/page"));
        let back = browser.get(&begun.location().expect("a redirect")).location().expect("a way back");
        // Microsoft sends no `iss` with the code.
        let callback = back.split("&iss=").next().unwrap_or_default().to_owned();
        world.issuer.behave();
        world.issuer.misbehave(Fault::IdToken(spoil));
        let before = world.upstream.count();
        let answer = browser.get(&callback);
        if is_good {
            assert_signed_in(&answer, &world.url("/page"));
        } else {
            assert_eq!((answer.status, answer.code().as_deref()), (502, Some("id_token_refused")), "{answer:?}");
            world.upstream.assert_saw_nothing_since(before, "another tenant");
            world.assert_serves();
        }
    }
}
