//! The end-session endpoint: signs the user out of the provider (RP-Initiated Logout 1.0).

use super::{Endpoint, RelyingParty};
use crate::secret::RawIdToken;

/// Our parameters; they are removed from the endpoint's own query.
const OWN_PARAMETERS: [&str; 4] = ["client_id", "id_token_hint", "post_logout_redirect_uri", "state"];

/// Upper bound of the URL. Many servers read request lines of up to 8 KiB, and answer a longer one with an error page.
const MAX_URL: usize = 8000;

/// A logout request (section 2).
#[derive(Debug)]
pub struct LogoutRequest<'a> {
    /// The client.
    pub relying_party: &'a RelyingParty,
    /// The end-session endpoint.
    pub endpoint: &'a Endpoint,
    /// `id_token_hint`. Without it some providers ask the user, and some refuse.
    pub id_token_hint: Option<&'a RawIdToken>,
    /// `post_logout_redirect_uri`
    pub post_logout_redirect_uri: &'a str,
    /// `state`
    pub state: Option<&'a str>,
}

impl LogoutRequest<'_> {
    /// The URL of the request. A hint that makes it too long (a user in hundreds of groups) is left out: the provider then
    /// asks the user.
    pub fn url(&self) -> String {
        let url = self.url_with(self.id_token_hint);
        if url.len() <= MAX_URL { url } else { self.url_with(None) }
    }

    fn url_with(&self, id_token_hint: Option<&RawIdToken>) -> String {
        let mut url = self.endpoint.url().clone();
        url.set_query(None);
        let mut query = url.query_pairs_mut();
        let kept = self.endpoint.url().query_pairs().filter(|(name, _)| !OWN_PARAMETERS.contains(&name.as_ref()));
        query.extend_pairs(kept);
        query.extend_pairs(id_token_hint.map(|hint| ("id_token_hint", hint.expose())));
        query.append_pair("client_id", &self.relying_party.client_id);
        query.append_pair("post_logout_redirect_uri", self.post_logout_redirect_uri);
        query.extend_pairs(self.state.map(|state| ("state", state)));
        query.finish();
        drop(query);
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::oidc::{PlainHttp, testing::relying_party};

    #[test]
    fn a_logout_request_has_each_parameter_once() {
        let endpoint = Endpoint::parse("https://idp.example.com/end?tenant=t&state=x", PlainHttp::Never).unwrap();
        let request = LogoutRequest {
            relying_party: &relying_party(),
            endpoint: &endpoint,
            id_token_hint: Some(&RawIdToken::new("a.b.c")),
            post_logout_redirect_uri: "https://app.example.com/oauth2/signed_out",
            state: Some("s&s"),
        };
        let url = Url::parse(&request.url()).unwrap();
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let expected = [
            ("tenant", "t"),
            ("id_token_hint", "a.b.c"),
            ("client_id", "client"),
            ("post_logout_redirect_uri", "https://app.example.com/oauth2/signed_out"),
            ("state", "s&s"),
        ];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(url.path(), "/end");
    }

    #[test]
    fn a_long_id_token_hint_is_omitted() {
        let endpoint = Endpoint::parse("https://idp.example.com/end", PlainHttp::Never).unwrap();
        for (length, is_there) in [(1000, true), (7000, true), (8000, false), (60_000, false)] {
            let request = LogoutRequest {
                relying_party: &relying_party(),
                endpoint: &endpoint,
                id_token_hint: Some(&RawIdToken::new("a".repeat(length))),
                post_logout_redirect_uri: "https://app.example.com/oauth2/signed_out",
                state: None,
            };
            let url = request.url();
            assert_eq!(url.contains("id_token_hint="), is_there, "{length}");
            assert!(url.len() <= MAX_URL && url.contains("client_id=client"));
        }
    }
}
