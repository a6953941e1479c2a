//! The files for control planes, which hand them to Envoy: a browser signs in through each. Needs Go: `make mesh`.

use wasm_tests::{
    browser::{Visit, text},
    http1::Response,
    mesh::{CAROL, Mesh, NO_CLUSTER, PUBLIC},
    site::ALICE,
    user_agent::{Outgoing, UserAgent},
};

const BOB: (&str, &str) = ("bob", "bob-password");

/// A request with the headers that the filter writes, as an attacker sends it.
fn forged(path: &str) -> Outgoing {
    Outgoing::fetch(path).header("x-forwarded-user", "root").header("x-forwarded-email", "root@example.com")
}

/// The page says that the provider cannot be reached, the log which cluster Envoy does not have.
fn assert_the_cluster_is_missed(mesh: &Mesh) {
    let refused = (503, Some("provider_not_ready"));
    let page = mesh.assert_refused(&UserAgent::default(), Outgoing::navigation("/page"), refused);
    assert!(page.text().contains("does not answer"), "{page:?}");
    let log = mesh.log();
    let line = log.lines().find(|line| line.contains("Envoy has no cluster \""));
    assert!(line.is_some_and(|line| line.contains(NO_CLUSTER)), "{log}");
}

fn assert_signs_in(mesh: &Mesh) {
    let nobody = UserAgent::default();
    mesh.assert_refused(&nobody, Outgoing::fetch("/page"), (401, Some("sign_in_required")));
    mesh.assert_refused(&nobody, Outgoing::navigation("/page"), (302, Some("sign_in_started")));
    mesh.assert_refused(&nobody, forged("/page"), (401, Some("sign_in_required")));
    mesh.assert_passes(&nobody.visit(&mesh.url(PUBLIC), forged(PUBLIC)));
    assert_eq!(received(mesh, "x-forwarded-user"), None);

    let (alice, page) = mesh.sign_in(ALICE, "/page?a=b");
    mesh.assert_passes(&page);
    assert_eq!(mesh.app.last().target, "/page?a=b");
    mesh.assert_passes(&alice.visit(&mesh.url("/page"), forged("/page")));
    assert_eq!(received(mesh, "x-forwarded-user").as_deref(), Some("alice"));
    assert_eq!(received(mesh, "x-forwarded-email").as_deref(), Some("alice@example.com"));
    let token = received(mesh, "authorization").expect("the ID token");
    assert!(token.starts_with("Bearer ey"), "{token}");
    let out = alice.get(&mesh.url("/oauth2/sign_out"));
    assert_eq!(out.status, 303, "{out:?}");
    mesh.assert_refused(&alice, Outgoing::fetch("/page"), (401, Some("sign_in_required")));

    let seen = Visit { url: &mesh.url("/page"), user: BOB, ..Visit::default() }.run();
    assert_eq!(text(&seen["first"], "text"), "hello from the app", "{seen}\n{}", mesh.log());
    assert_eq!(received(mesh, "x-forwarded-user").as_deref(), Some("bob"));
    let log = mesh.log();
    let named = |line: &&str| line.contains("wasm log ") && line.contains("vestibule");
    let signed_in = log.lines().filter(named).any(|line| line.contains("\"bob\" signed in at"));
    assert!(signed_in && log.contains("wasm log vestibule"), "{log}");
}

fn received(mesh: &Mesh, header: &str) -> Option<String> {
    mesh.app.last().headers.text(header)
}

/// What Envoy answers itself, by a policy of the control plane behind the filter.
#[track_caller]
fn assert_forbidden(mesh: &Mesh, browser: &UserAgent, path: &str) {
    let response: Response = mesh.assert_refused(browser, Outgoing::fetch(path), (403, None));
    assert!(response.text().starts_with("RBAC"), "{response:?}");
}

#[test]
fn envoy_gateway_deploys_the_filter_of_its_sample() {
    let mut mesh = Mesh::envoy_gateway();
    assert_the_cluster_is_missed(&mesh);
    mesh.name_the_cluster();
    assert_signs_in(&mesh);
    let before = mesh.app.count();
    let (carol, page) = mesh.sign_in(CAROL, "/page");
    assert_eq!((page.status, page.code()), (403, None), "{page:?}\n{}", mesh.log());
    mesh.app.assert_saw_nothing_since(before, "a user in another group");
    assert_forbidden(&mesh, &carol, "/page");
    assert_reads_bodies(&mesh);
    // The route that exists only to create the provider's cluster admits no request.
    let nobody = UserAgent::default();
    mesh.assert_refused(&nobody, Outgoing::fetch("/page").header("host", "idp.invalid"), (403, None));
    let configuration = mesh.configuration();
    assert!(configuration.contains("\"failure_policy\": \"FAIL_RELOAD\""), "{configuration}");
}

/// The filter reads the body of a logout token, so Envoy hands it over while the headers are held.
fn assert_reads_bodies(mesh: &Mesh) {
    let send = Outgoing::form("/oauth2/backchannel_logout", &[("logout_token", "no.token.atall")]);
    mesh.assert_refused(&UserAgent::default(), send, (400, Some("logout_refused")));
}

#[test]
fn istio_deploys_the_filter_of_its_sample_to_a_sidecar() {
    assert_policies_hold(Mesh::istio());
}

#[test]
fn istio_deploys_the_filter_of_its_sample_to_an_ingress_gateway() {
    assert_policies_hold(Mesh::istio_gateway());
}

fn assert_policies_hold(mut mesh: Mesh) {
    assert_the_cluster_is_missed(&mesh);
    mesh.name_the_cluster();
    assert_signs_in(&mesh);
    let (bob, page) = mesh.sign_in(BOB, "/page");
    mesh.assert_passes(&page);
    for path in ["/admin", "/admin/x", "//admin", "/a/../admin", "/%61dmin"] {
        assert_forbidden(&mesh, &bob, path);
    }
    mesh.assert_passes(&mesh.sign_in(ALICE, "/admin/x").1);
    let configuration = mesh.configuration();
    assert!(configuration.contains("\"failure_policy\": \"FAIL_RELOAD\""), "{configuration}");
}

#[test]
fn istio_deploys_the_envoy_filter_of_its_sample_to_a_sidecar() {
    let mut mesh = Mesh::istio_with_envoy_filter();
    assert_the_cluster_is_missed(&mesh);
    mesh.name_the_cluster();
    assert_signs_in(&mesh);
    assert_reads_bodies(&mesh);
}
