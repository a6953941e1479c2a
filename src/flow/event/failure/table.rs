//! The table of failures: status, code, counter, level in the log, and texts. A new failure does not compile until it has its
//! row.

use crate::{
    claims::Unmet,
    http::CalloutError,
    jose::verify::VerifyError,
    oidc::{
        authorization::AuthorizationError,
        error::{ErrorResponse, OAuthError, UnexpectedStatus},
        introspection::IntrospectionError,
        pushed::PushError,
        token::TokenEndpointError,
        token_exchange::{ExchangeFault, NoExchange},
        userinfo::UserinfoError,
    },
    page::text::{Language, Text},
    provisioning::ProvisioningError,
    session::SealError,
};

use super::{super::level::Level, Failure};

/// The texts of a failure, without those of the log.
#[derive(Debug)]
pub(in crate::flow) struct Words {
    /// The heading of its page.
    pub(in crate::flow) title: Text,
    /// The explanation on its page.
    pub(in crate::flow) texts: &'static [Text],
    /// The text for programs, if the heading would not help them.
    error: Option<&'static str>,
}

impl Words {
    /// The text for programs and their developers, in English.
    pub(in crate::flow) fn error(&self) -> &'static str {
        self.error.unwrap_or_else(|| Language::En.get(self.title))
    }
}

/// One row of the table.
struct Row {
    status: u16,
    code: &'static str,
    counter: &'static str,
    level: Level,
    words: Words,
}

/// `row!(status, code, level, heading [paragraphs of the page], text for programs)`. Without the last, programs read the heading.
macro_rules! row {
    ($status:literal, $code:literal, $level:ident, $title:ident [$($text:ident)*]) => {
        row!(@ $status, $code, $level, $title [$($text)*], None)
    };
    ($status:literal, $code:literal, $level:ident, $title:ident [$($text:ident)*], $error:literal) => {
        row!(@ $status, $code, $level, $title [$($text)*], Some($error))
    };
    (@ $status:literal, $code:literal, $level:ident, $title:ident [$($text:ident)*], $error:expr) => {
        &Row {
            status: $status,
            code: $code,
            counter: concat!("vestibule_refused_", $code),
            level: Level::$level,
            words: Words { title: Text::$title, texts: &[$(Text::$text),*], error: $error },
        }
    };
}

impl Failure {
    #[rustfmt::skip]
    const fn row(&self) -> &'static Row {
        match self {
            Self::Bearer => row!(401, "bearer_not_accepted", Info, NotAccepted [TellOperator], "This address takes no bearer token"),
            Self::BearerMalformed => row!(400, "bearer_malformed", Info, NotAccepted [TellOperator], "The bearer token cannot be read"),
            // Forged tokens come in numbers: this one is refused like any request beyond a limit.
            Self::BearerSignature(VerifyError::Throttled) | Self::LogoutTokenSignature(VerifyError::Throttled) | Self::SecurityEventSignature(VerifyError::Throttled) => row!(503, "busy", Info, Busy [TryAgainSoon]),
            Self::BearerExpired(_) | Self::BearerInactive | Self::BearerRefused(_) | Self::BearerSignature(_) | Self::BearerUnknown => row!(401, "invalid_token", Info, NotAccepted [TellOperator], "The token is unknown, has expired, or is meant for another service"),
            Self::BodyMissing => row!(503, "body_missing", Error, SomethingWrong [OwnFault TellOperator]),
            Self::BodyTooLong => row!(413, "body_too_long", Info, NotAccepted [TooLong], "The body is longer than this address accepts"),
            Self::Busy => row!(503, "busy", Warn, Busy [TryAgainSoon]),
            Self::Callback(AuthorizationError::Malformed) => row!(400, "callback_malformed", Info, SignInFailed [AnswerIncomplete TryAgainPlease]),
            Self::Callback(AuthorizationError::WrongIssuer) => row!(400, "callback_wrong_issuer", Warn, SignInFailed [AnswerOfOtherService TryAgainPlease]),
            Self::CallbackMethod => row!(405, "callback_method", Info, SignInFailed [AnswerUnacceptable TryAgainPlease]),
            Self::CallbackState => row!(400, "callback_state", Info, SignInFailed [SignInOver TryAgainPlease]),
            Self::ClientKey(_) => row!(500, "client_key", Error, SomethingWrong [OwnFault TellOperator]),
            Self::HeadersRefused => row!(500, "headers_refused", Error, SomethingWrong [OwnFault TellOperator]),
            Self::IdentityTooLong(_) => row!(500, "identity_too_long", Error, TooMuchData [DataTooLong TellOperator]),
            Self::IdToken(_) => row!(502, "id_token_refused", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::IdTokenMalformed(_) => row!(502, "id_token_malformed", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::Denied(_) => row!(403, "denied", Info, Closed [OpenToNoOne]),
            Self::GroupsLeftOut(_) => row!(403, "groups_left_out", Warn, MayNotOpen [GroupsLeftOut TellOperator]),
            Self::InsufficientScope(_) => row!(403, "insufficient_scope", Info, NotAccepted [TellOperator], "The token lacks a scope that this address needs"),
            Self::Introspection(error) => match error {
                IntrospectionError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | IntrospectionError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "introspection_unavailable", Warn, NotAccepted [TryAgainSoon], "The token cannot be checked: its issuer does not answer"),
                IntrospectionError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | IntrospectionError::Malformed | IntrospectionError::NotJson(_) | IntrospectionError::Status(_) => row!(502, "introspection_refused", Error, NotAccepted [TellOperator], "The token cannot be checked: its issuer does not accept the question"),
            },
            Self::LogoutMalformed | Self::LogoutToken(_) | Self::LogoutTokenSignature(_) => row!(400, "logout_refused", Warn, NotAccepted [TellOperator], "No session was ended: the request cannot be trusted"),
            Self::LogoutMethod(_) => row!(405, "logout_method", Info, NotAccepted [TellOperator], "No session was ended: this method is not accepted here"),
            Self::NoRandomness | Self::NotWritten(SealError::NoRandomness(_)) => row!(500, "no_randomness", Error, SomethingWrong [OwnFault TellOperator]),
            Self::NotAllowed(_, Unmet::Account, _) => row!(403, "not_allowed", Info, MayNotOpen [NotAmongAccounts OtherAccount]),
            Self::NotAllowed(_, Unmet::Address, _) => row!(403, "not_allowed", Info, MayNotOpen [NotAmongAddresses OtherAccount]),
            Self::NotAllowed(_, Unmet::Groups, _) => row!(403, "not_allowed", Info, MayNotOpen [NotInGroups OtherAccount]),
            Self::NotAllowed(_, Unmet::VerifiedAddress, _) => row!(403, "not_allowed", Info, MayNotOpen [AddressNotVerified OtherAccount]),
            Self::OtherProvider(_) => row!(403, "other_provider", Info, MayNotOpen [OtherServiceNeeded]),
            Self::TokensDiffer => row!(400, "upstream_token_ambiguous", Info, NotAccepted [Ambiguous], "The address can be read in several ways"),
            Self::NoAccessToken => row!(502, "no_access_token", Error, CannotOpen [NothingForPage TellOperator]),
            Self::NotExchangeable => row!(403, "token_not_exchangeable", Info, NotAccepted [TellOperator], "The token cannot be exchanged for the one that this address needs"),
            Self::NotWritten(SealError::TooLarge { .. }) => row!(500, "session_too_large", Error, TooMuchData [DataTooLong TellOperator]),
            Self::ProviderNotReady => row!(503, "provider_not_ready", Warn, NoAnswer [NotJustNow TryAgainSoon]),
            Self::Provider(ErrorResponse { error: OAuthError::AccessDenied, .. }) => row!(403, "access_denied", Info, Declined [YouDeclined TryAgainPlease]),
            Self::Provider(ErrorResponse { error: OAuthError::ServerError | OAuthError::TemporarilyUnavailable, .. }) => row!(503, "provider_unavailable", Warn, ServiceProblem [NotJustNow TryAgainSoon]),
            Self::Provider(_) => row!(400, "provider_refused", Warn, SignInFailed [ServiceRefused TryAgainOrTell]),
            Self::Provisioning(error) => match error {
                ProvisioningError::Refused(_) => row!(403, "provisioning_refused", Info, MayNotSignIn [SiteDoesNotAdmit OtherAccount]),
                ProvisioningError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | ProvisioningError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "provisioning_unavailable", Error, SignInFailed [AccountLookupFailed TryAgainSoon]),
                ProvisioningError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | ProvisioningError::Malformed | ProvisioningError::NoMessage | ProvisioningError::NotJson(_) | ProvisioningError::Status(_) => row!(502, "provisioning_malformed", Error, SignInFailed [AccountLookupFailed TellOperator]),
            },
            Self::ReservedHeader(_) => row!(400, "reserved_header", Info, NotAccepted [TellOperator], "A header says who sends the request, which only this site may do"),
            Self::ReservedPath => row!(404, "reserved_path", Info, NothingHere [Reserved]),
            Self::Route(..) => row!(500, "route_policy", Error, SomethingWrong [OwnFault TellOperator]),
            Self::IdTokenSignature(VerifyError::BadPayload(_)) => row!(502, "id_token_payload", Warn, SignInFailed [AnswerUnacceptable TellOperator]),
            Self::IdTokenSignature(VerifyError::UnknownKey(_)) => row!(502, "id_token_unknown_key", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::IdTokenSignature(_) => row!(502, "id_token_signature", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::SecurityEvent(_) | Self::SecurityEventMalformed | Self::SecurityEventSignature(_) => row!(400, "security_event_refused", Warn, NotAccepted [TellOperator], "No session was ended: the security event token cannot be trusted"),
            Self::SignInLoop(_) => row!(400, "sign_in_loop", Warn, CookiesLost [CookieNeverCame AllowCookies]),
            Self::SignInRequired => row!(401, "sign_in_required", Count, PleaseSignIn [NotSignedIn NotDelivered]),
            Self::SignOutMethod => row!(405, "sign_out_method", Info, StillSignedIn [AskedElsewhere SignOutHere]),
            Self::Store(_) => row!(503, "store_unavailable", Error, CannotOpen [SessionLookupFailed TryAgainSoon]),
            Self::UserinfoSignature(_) | Self::UserinfoEndpoint(UserinfoError::OtherSubject | UserinfoError::SignedClaims(_) | UserinfoError::SignedType) => row!(502, "userinfo_endpoint_refused", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            Self::UserinfoEndpoint(error) => match error {
                UserinfoError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | UserinfoError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "userinfo_endpoint_unavailable", Warn, NoAnswer [NotJustNow TryAgainSoon]),
                UserinfoError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | UserinfoError::Malformed(_) | UserinfoError::NoSubject(_) | UserinfoError::NotJson(_) | UserinfoError::OtherSubject | UserinfoError::SignedClaims(_) | UserinfoError::SignedMalformed(_) | UserinfoError::SignedType | UserinfoError::Status(_) => row!(502, "userinfo_endpoint_malformed", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            },
            Self::Unreachable(_) => row!(500, "bug", Error, SomethingWrong [OwnFault TellOperator]),
            Self::StepUpRefused(..) => row!(403, "step_up_refused", Warn, StrongerNeeded [StrongerNotConfirmed TryAgainOrTell]),
            Self::StepUpRequired(..) => row!(401, "insufficient_user_authentication", Info, StrongerNeeded [StrongerThanYours NotDelivered]),
            Self::UpstreamToken(NoExchange { fault: ExchangeFault::SubjectRejected, .. }) => row!(403, "upstream_token_denied", Warn, MayNotOpen [ServiceOfPageRefused OtherAccount]),
            Self::PublicClientExchange | Self::UpstreamToken(NoExchange { fault: ExchangeFault::RequestRejected, .. }) => row!(502, "upstream_token_refused", Error, CannotOpen [NothingForPage TellOperator]),
            Self::UpstreamToken(NoExchange { fault: ExchangeFault::Unavailable, .. }) => row!(503, "upstream_token_unavailable", Warn, NoAnswer [PageNeedsAnswer TryAgainSoon]),
            Self::ClientScriptMethod => row!(405, "client_script_method", Info, NotAccepted [ForPrograms], "This address only has a script"),
            Self::UserinfoMethod => row!(405, "userinfo_method", Info, NotAccepted [ForPrograms], "This address only tells who is signed in"),
            Self::TokenRequired => row!(401, "token_required", Count, NotAccepted [ForPrograms], "This address needs a bearer token"),
            Self::Push(PushError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | PushError::Status(UnexpectedStatus { is_temporary: true, .. })) => row!(503, "pushed_request_unavailable", Warn, NoAnswer [NotJustNow TryAgainSoon]),
            Self::Push(_) => row!(502, "pushed_request_refused", Error, SignInFailed [SiteNotAccepted TellOperator]),
            Self::TokenEndpoint(error) => match error {
                TokenEndpointError::UnexpectedDpopToken | TokenEndpointError::UnexpectedBearerToken => row!(502, "access_token_type", Error, SignInFailed [AnswerUnacceptable TellOperator]),
                TokenEndpointError::Callout(CalloutError::Dispatch | CalloutError::NoCluster(_) | CalloutError::NoResponse) | TokenEndpointError::Status(UnexpectedStatus { is_temporary: true, .. }) => row!(503, "token_endpoint_unavailable", Warn, NoAnswer [NotJustNow TryAgainSoon]),
                TokenEndpointError::Refused(ErrorResponse { error: OAuthError::BadVerificationCode | OAuthError::InvalidGrant, .. }) => row!(400, "token_endpoint_invalid_grant", Info, SignInFailed [SignInTooLate TryAgainPlease]),
                TokenEndpointError::Refused(_) => row!(502, "token_endpoint_refused", Error, SignInFailed [SiteNotAccepted TellOperator]),
                TokenEndpointError::Callout(CalloutError::Redirected { .. } | CalloutError::TooLarge) | TokenEndpointError::Malformed(_) | TokenEndpointError::NotJson(_) | TokenEndpointError::Status(_) => row!(502, "token_endpoint_malformed", Warn, SignInFailed [AnswerUnacceptable TryAgainOrTell]),
            },
        }
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        self.row().status
    }

    /// The stable code: response header, response-code details, page and log.
    pub const fn code(&self) -> &'static str {
        self.row().code
    }

    /// The counter.
    pub const fn counter(&self) -> &'static str {
        self.row().counter
    }

    /// Its level in the log.
    pub const fn level(&self) -> Level {
        self.row().level
    }

    /// The texts for its page and for programs.
    pub(in crate::flow) const fn words(&self) -> &'static Words {
        &self.row().words
    }
}

#[cfg(test)]
mod tests {
    const PAGE: &str = include_str!("../../../../envoy/docs/troubleshooting.md");

    /// The status and code of each row of the table above.
    fn rows() -> Vec<(&'static str, &'static str)> {
        let rows = include_str!("table.rs").split("row!(");
        let rows = rows.filter(|row| row.starts_with(|first: char| first.is_ascii_digit()));
        rows.filter_map(|row| Some((row.split(',').next()?, row.split('"').nth(1)?))).collect()
    }

    #[test]
    fn the_page_on_troubleshooting_has_one_entry_for_each_code_and_no_others() {
        let headings = PAGE.lines().filter_map(|line| line.strip_prefix("### "));
        let entries: Vec<_> = headings.flat_map(|heading| heading.split('`').skip(1).step_by(2)).collect();
        let rows = rows();
        assert!(rows.len() > 40, "{rows:?}");
        for (_, code) in &rows {
            assert!(entries.contains(code), "{code} has no entry");
        }
        for entry in entries {
            assert!(rows.iter().any(|(_, code)| *code == entry), "{entry} is no code");
        }
    }

    #[test]
    fn the_troubleshooting_table_lists_each_code_with_its_status() {
        let (_, table) = PAGE.split_once("## All codes").unwrap();
        let lines =
            table.lines().skip_while(|line| !line.starts_with("| [")).take_while(|line| line.starts_with("| ["));
        let mut shown: Vec<_> =
            lines.filter_map(|line| Some((line.split('|').nth(2)?.trim(), line.split('`').nth(1)?))).collect();
        let mut rows = rows();
        rows.sort_by_key(|(_, code)| *code);
        rows.dedup();
        shown.sort_by_key(|(_, code)| *code);
        assert_eq!(shown, rows);
    }
}
