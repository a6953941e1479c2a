//! The audit log: one line of JSON for each sign-in, refusal, refresh and sign-out, for programs. It names the subject, the issuer,
//! the session and the request; never a token, code, cookie, key or URL. A line is ASCII: a text from outside can neither break
//! it nor hide in it.

use super::{Event, EventContext, Operation, failure::Failure};
use crate::config::AuditLog;

/// An entry of the audit log.
struct Entry<'a> {
    event: &'static str,
    /// The code of the failure.
    code: Option<&'static str>,
    /// The party that ended the session.
    by: Option<&'static str>,
    context: &'a EventContext,
}

/// The line of this event; `None` for one that the audit log does not have.
#[inline(never)]
pub fn line(event: &Event, log: AuditLog) -> Option<String> {
    if log == AuditLog::None {
        return None;
    }
    let entry = entry(event)?;
    let context = entry.context;
    let subject = context.subject.as_deref().filter(|_| log == AuditLog::WithSubject);
    let session = context.session.map(|digest| base16ct::lower::encode_string(&digest));
    let outcome = if entry.code.is_some() { "failure" } else { "success" };
    let mut line = String::new();
    for (name, value) in [
        ("event", Some(entry.event)),
        ("outcome", Some(outcome)),
        ("code", entry.code),
        ("by", entry.by),
        ("rule", rule(event)),
        ("issuer", context.issuer.as_deref()),
        ("subject", subject),
        ("session", session.as_deref()),
        ("request_id", context.request_id.as_deref()),
    ] {
        if let Some(value) = value {
            line.push(if line.is_empty() { '{' } else { ',' });
            push_text(name, &mut line);
            line.push(':');
            push_text(value, &mut line);
        }
    }
    line.push('}');
    Some(line)
}

fn entry(event: &Event) -> Option<Entry<'_>> {
    let (event, code, by, context) = match event {
        Event::SignedIn(context) => ("sign_in", None, None, context),
        Event::Refused { failure, operation, context } => {
            let event = match operation {
                Operation::Access => "refusal",
                Operation::SignIn => "sign_in",
                Operation::SignOut => "sign_out",
            };
            (event, Some(failure.code()), None, context)
        }
        Event::Renewed(context) => ("refresh", None, None, context),
        Event::NotRenewed(context, failure) => ("refresh", Some(failure.code()), None, context),
        Event::SignedOut(context) => ("sign_out", None, Some("user"), context),
        Event::LoggedOut(context, Some(_)) => ("sign_out", None, Some("back_channel"), context),
        Event::LoggedOut(context, None) => ("sign_out", None, Some("front_channel"), context),
        Event::SecurityEvent(context, _) => ("sign_out", None, Some("security_event"), context),
        Event::SessionRefused(context) => ("sign_out", None, Some("refused_refresh"), context),
        _ => return None,
    };
    Some(Entry { event, code, by, context })
}

/// The name of the rule that refused a request.
fn rule(event: &Event) -> Option<&str> {
    match event {
        Event::Refused {
            failure:
                Failure::Denied(rule)
                | Failure::GroupsLeftOut(rule)
                | Failure::NotAllowed(rule, ..)
                | Failure::OtherProvider(rule)
                | Failure::StepUpRequired(rule, _),
            ..
        } => rule.as_deref(),
        _ => None,
    }
}

/// Appends a JSON string (RFC 8259, 7), with an escape for each character that is not printable ASCII.
fn push_text(text: &str, to: &mut String) {
    to.push('"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ (b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')) => to.push(char::from(byte)),
            _ => {
                to.push_str("\\u");
                to.push_str(&base16ct::lower::encode_string(&unit.to_be_bytes()));
            }
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rule: &str, request_id: &str) -> Event {
        let context = Box::new(EventContext {
            issuer: Some("https://idp.example.com".to_owned()),
            subject: Some("alice".to_owned()),
            session: Some([0xab; 16]),
            request_id: Some(request_id.to_owned()),
        });
        Event::Refused { failure: Failure::Denied(Some(rule.to_owned())), operation: Operation::Access, context }
    }

    #[test]
    fn an_audit_line_has_the_known_fields_and_the_subject_if_configured() {
        let event = refused("admins", "42");
        assert_eq!(line(&event, AuditLog::None), None);
        let rest = r#""session":"abababababababababababababababab","request_id":"42"}"#;
        let begin = r#"{"event":"refusal","outcome":"failure","code":"denied","rule":"admins","issuer":"https://idp.example.com","#;
        assert_eq!(line(&event, AuditLog::WithoutSubject), Some(format!("{begin}{rest}")));
        assert_eq!(line(&event, AuditLog::WithSubject), Some(format!("{begin}\"subject\":\"alice\",{rest}")));
        let event = Event::SignedOut(Box::default());
        let shortest = r#"{"event":"sign_out","outcome":"success","by":"user"}"#;
        assert_eq!(line(&event, AuditLog::WithSubject).as_deref(), Some(shortest));
        assert_eq!(line(&Event::SignInStarted, AuditLog::WithSubject), None);
    }

    /// Whatever comes from outside is one JSON string, in one line, and reads back as it was.
    #[test]
    fn an_audit_line_escapes_arbitrary_text() {
        for text in [
            "",
            "plain",
            "\",\"outcome\":\"success",
            "\\",
            "a\r\n[2026-01-01][info][wasm] audit {}",
            "\0\u{1b}[31m\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}",
            "é 漢 😀",
        ] {
            let line = line(&refused(text, text), AuditLog::WithSubject).unwrap();
            assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((read["rule"].as_str(), read["request_id"].as_str()), (Some(text), Some(text)), "{line}");
            assert_eq!(read.as_object().unwrap().len(), 8, "{line}");
        }
    }
}
