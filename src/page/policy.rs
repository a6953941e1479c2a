//! The Content-Security-Policy of a page.

use super::{Action, Page, inline, look::Look};

impl Page<'_> {
    /// The Content-Security-Policy: our own style and script, and images where there are any.
    pub fn content_security_policy(&self, look: &Look) -> String {
        let mut policy = format!("default-src 'none'; style-src {}; base-uri 'none'", look.style_source());
        // Clickjacking: a page in a frame has nothing but links, and the framing page could open their targets itself.
        if !self.is_framed {
            policy.push_str("; frame-ancestors 'none'");
        }
        if let Some(script) = self.script {
            policy.push_str("; script-src ");
            policy.push_str(&inline::source(script.text()));
        }
        if self.has_image(look) {
            policy.push_str("; img-src data:");
        }
        // Some browsers apply `form-action` to the redirects that answer a form, such as the one to the provider, which may
        // redirect to any other host in its turn. Pages with such a form have no other form.
        let has_redirected_form =
            matches!(self.action, Some(Action::Choose { form: Some(_), .. } | Action::Post(_) | Action::Resend(_)));
        if !has_redirected_form {
            policy.push_str("; form-action 'none'");
        }
        policy
    }

    fn has_image(&self, look: &Look) -> bool {
        let has_logo = match &self.action {
            Some(Action::Choose { choices, .. }) => choices.iter().any(|choice| choice.logo.is_some()),
            _ => false,
        };
        has_logo || look.logo.is_some()
    }
}
