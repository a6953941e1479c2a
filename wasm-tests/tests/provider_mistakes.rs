//! Mistakes in the settings of each provider of the matrix: what the page's code is, and what the log says of the mend.

use serde_json::{Value, json};
use wasm_tests::matrix::{self};

fn probe(provider: &str, what: &str, change: impl FnOnce(&mut Value)) {
    let ended = matrix::mistaken(provider, change);
    eprintln!("=== {provider} / {what}\n at {}\n status {} code {:?}", ended.at, ended.page.status, ended.page.code());
    eprintln!(" page {:?}", ended.page.text().chars().take(300).collect::<String>());
    for line in ended.log.lines().filter(|l| l.contains("wasm log")) {
        eprintln!("   {}", line.split("wasm log").nth(1).unwrap());
    }
}

#[test]
fn probes() {
    let all = ["Microsoft Entra ID", "Google", "Apple", "Okta", "GitLab", "Facebook", "SimpleLogin", "Glewlwyd", "oidc-provider (node)", "A server with OAuth 2.0 alone", "GitHub"];
    for p in all {
        if let Ok(only) = std::env::var("ONLY") { if !p.contains(&only) { continue; } }
        probe(p, "wrong secret", |v| if v.get("client_secret").is_some() { v["client_secret"] = json!("wrong-secret-wrong-secret-wrong-secret") });
        probe(p, "no secret", |v| { v.as_object_mut().unwrap().remove("client_secret"); v["token_endpoint_auth_method"] = json!("none"); if p == "GitHub" { v["client_secret"] = json!("x"); v.as_object_mut().unwrap().remove("token_endpoint_auth_method"); }  if p == "Apple" { v["client_secret"] = json!("x");v.as_object_mut().unwrap().remove("client_key");v["client_assertion"]=json!(null);v["token_endpoint_auth_method"] = json!("client_secret_post"); v.as_object_mut().unwrap().remove("client_assertion");v["preset"]=json!("google"); v.as_object_mut().unwrap().remove("with"); } });
        probe(p, "wrong client", |v| v["client_id"] = json!("another-client"));
        probe(p, "slash", |v| if let Some(i) = v["issuer"].as_str() { v["issuer"] = json!(format!("{i}/")) });
        probe(p, "wrong tenant", |v| if let Some(i) = v["issuer"].as_str() { v["issuer"] = json!(format!("{i}/other")) });
        probe(p, "scopes", |v| if !p.contains("GitHub") { v["scopes"] = json!(if p.contains("OAuth") || p.contains("Face") || p.contains("Simple") {vec!["profile"]} else {vec!["openid"]}) });
        probe(p, "bad scope", |v| if !p.contains("GitHub") { v["scopes"] = json!(["openid", "nonsense"]) });
    }
}
