//! No warning on resources that stand beside the filter for reasons of their own.

use super::{file, without_secrets};

fn assert_no_warning(text: &str) {
    let report = without_secrets("a.yaml", text).text;
    assert!(!report.contains("warning: "), "{report}");
}

#[test]
fn the_filter_as_an_envoy_filter_has_the_policies_beside_it() {
    let istio = file("istio.yaml");
    let (_, policies) = istio.split_once("---\n").unwrap();
    let both = format!("{}---\n{policies}", file("istio-envoyfilter.yaml"));
    assert_no_warning(&both);
    let other = both.replacen("labels: {app: web}", "labels: {app: shop}", 1);
    let report = without_secrets("a.yaml", &other).text;
    for kind in ["RequestAuthentication", "AuthorizationPolicy"] {
        let warning = format!(
            "warning: this {kind} is for workloads with app=web, and the filter is for those with app=shop (line "
        );
        assert!(report.contains(&warning), "{report}");
    }
    let report = without_secrets(
        "a.yaml",
        &both.replace("jwtRules:\n  - issuer: https://idp", "jwtRules:\n  - issuer: https://ipd"),
    )
    .text;
    assert!(report.contains("which is no issuer of this RequestAuthentication"), "{report}");
}

#[test]
fn an_ingress_gateway_has_the_filter_in_its_own_namespace() {
    let istio = file("istio.yaml");
    let (policies, provider) = istio.split_once("---\n# The provider as a cluster").unwrap();
    let policies = policies
        .replace("{app: web}", "{istio: ingressgateway}")
        .replace("namespace: shop", "namespace: istio-ingress");
    let gateway = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  selector: {app: istio-ingressgateway}
  servers: [{hosts: [web.example.com], port: {number: 443, name: https, protocol: HTTPS}}]
";
    let text = format!("{policies}---\n#{provider}---\n{gateway}");
    assert_no_warning(&text);
    let other = text.replace("{app: istio-ingressgateway}", "{istio: internal}");
    let report = without_secrets("a.yaml", &other).text;
    let warning = "this Gateway is for workloads with istio=internal, and the filter is for those with istio=ingressgateway (line 29): everybody passes";
    assert!(report.contains(warning), "{report}");
}

#[test]
fn each_of_several_filters_has_policies_of_its_own() {
    let web = file("istio.yaml");
    let shop = web.replace("{app: web}", "{app: shop}").replace("https://web.", "https://shop.");
    let staging = web.replace("namespace: shop", "namespace: staging");
    assert_no_warning(&[web, shop, staging].join("---\n"));
    let web = file("envoy-gateway.yaml");
    let shop = ["name: web", "{name: web"]
        .iter()
        .fold(web.clone(), |text, name| text.replace(name, &name.replace("web", "prices")));
    let shop = shop.replace("web.example.com", "prices.example.com").replace("shop/web/", "shop/prices/");
    assert_no_warning(&[web, shop].join("---\n"));
}
