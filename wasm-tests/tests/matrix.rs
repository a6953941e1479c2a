//! A complete sign-in at every provider of the matrix: from a page, identity at the app, renewal, sign-out.

use wasm_tests::matrix::{self, ROWS, Row};

/// One test for each row.
macro_rules! rows {
    ($($(#[$needs:meta])? $test:ident: $provider:literal;)*) => {
        $(
            #[test]
            $(#[$needs])?
            fn $test() {
                matrix::run($provider);
            }
        )*

        const RUN: &[&str] = &[$($provider),*];
    };
}

rows! {
    #[cfg_attr(not(feature = "providers"), ignore = "needs a JDK and Maven: make providers")]
    keycloak: "Keycloak";
    microsoft: "Microsoft Entra ID";
    google: "Google";
    apple: "Apple";
    okta: "Okta";
    gitlab: "GitLab";
    facebook: "Facebook";
    simplelogin: "SimpleLogin";
    #[cfg_attr(not(feature = "providers"), ignore = "needs Go: make providers")]
    dex: "Dex";
    glewlwyd: "Glewlwyd";
    canaille: "Canaille";
    django_oauth_toolkit: "Django OAuth Toolkit";
    oidc_provider: "oidc-provider (node)";
    oauth2: "A server with OAuth 2.0 alone";
    github: "GitHub";
}

#[test]
fn every_row_of_the_provider_matrix_is_run() {
    assert_eq!(ROWS.each_ref().map(|row| row.provider), RUN);
}

/// The page's table has each row that is run, and no other one; what it says of a provider is what was seen.
#[test]
fn the_table_on_the_page_on_providers_is_that_of_the_matrix() {
    let page = include_str!("../../envoy/docs/providers.md");
    let (_, table) = page.split_once("<!-- matrix -->\n").expect("the place of the table");
    let table: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).skip(2).collect();
    let lines = ROWS.each_ref().map(Row::line);
    assert_eq!(table, lines, "it should be:\n{}", lines.join("\n"));
    for row in &ROWS {
        assert!(page.contains(&format!("\n## {}\n", row.provider)), "no section {}", row.provider);
    }
}
