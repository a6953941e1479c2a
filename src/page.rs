//! The HTML page of all local replies to browsers: a text, one action, and the code for the operator. It loads nothing
//! (logos are `data:` URLs), may be framed only in answers to frames, and has a script only where a response alone cannot do
//! the work ([`Script`]). The script is our own, allowed by its hash.

pub mod logo;

use std::sync::LazyLock;

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use logo::Logo;

const STYLE: &str = include_str!("page/style.css");
/// The hash of the style: to make it anew takes more than all the rest of a refusal.
static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| source(STYLE));

/// A text in a Content-Security-Policy.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// A page. The template escapes every text.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>{{ style|safe }}</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
<p{% if self.has_unknown_address() %} id="unknown" role="alert"{% endif %}>{{ text }}</p>
{%- match action %}
{%- when Some(Action::Link { label, href }) %}
<p><a class="button" href="{{ href }}"{% if is_framed %} target="_top"{% endif %}>{{ label }}</a></p>
{%- when Some(Action::Choose { form, choices }) %}
{%- if let Some(form) = form %}
<form class="address" action="{{ form.action }}">
{%- for (name, value) in form.fields.iter() %}
<input type="hidden" name="{{ name }}" value="{{ value }}">
{%- endfor %}
<label for="address">Email address</label>
<input id="address" type="email" name="{{ form.name }}" maxlength="254" autocomplete="email" required{% if form.is_unknown %} aria-invalid="true" aria-describedby="unknown"{% endif %}>
<button class="button">Continue</button>
</form>
{%- endif %}
<ul>
{%- for choice in choices.iter() %}
<li><a class="button{% if let Some(name) = choice.css_class %} {{ name }}{% endif %}" href="{{ choice.href }}"{% if is_framed %} target="_top"{% endif %}>
{%- if let Some(logo) = choice.logo %}<img src="{{ logo.url() }}" alt="" width="28" height="28">{% endif %}{{ choice.title }}</a></li>
{%- endfor %}
</ul>
{%- when Some(Action::Post { label, href }) %}
<form method="post" action="{{ href }}"><button class="button">{{ label }}</button></form>
{%- when Some(Action::Resend { label, href }) %}
<form method="post" hidden><p><code></code></p><button class="button">{{ label }}</button></form>
<p hidden><a class="button" href="{{ href }}">Continue</a></p>
{%- when None %}
{%- endmatch %}
{%- if let Some(form) = kept %}
<form id="kept" hidden method="post" action="{{ form.action }}">
{%- for (name, value) in form.fields.iter() %}
<input type="hidden" name="{{ name }}" value="{{ value }}">
{%- endfor %}
</form>
{%- endif %}
{%- if let Some(script) = script %}
<noscript><p>This page needs JavaScript for that.</p></noscript>
<script>{{ script.text()|safe }}</script>
{%- endif %}
<footer>
<p>Code <code>{{ code }}</code>{% if let Some(id) = request_id %} · request <code>{{ id }}</code>{% endif %}</p>
</footer>
</main>
</body>
</html>
"#
)]
pub struct Page<'a> {
    /// The heading: what happened.
    pub title: &'a str,
    /// The explanation, and what helps.
    pub text: &'a str,
    /// The next action of the user.
    pub action: Option<Action>,
    /// The stable code.
    pub code: &'a str,
    /// The id of the request in logs (`x-request-id`).
    pub request_id: Option<&'a str>,
    /// The script of the page.
    pub script: Option<Script>,
    /// A form that the browser keeps over the sign-in.
    pub kept: Option<KeptForm>,
    /// Whether it answers a frame. Its links then open in the whole window.
    pub is_framed: bool,
    style: &'static str,
}

/// The work of a page's script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Follow the link at once, with the fragment, which browsers do not send.
    FollowWithFragment,
    /// Keep the form on the page in this tab.
    KeepForm,
    /// Offer to send the kept form again.
    ResendForm,
}

impl Script {
    const fn text(self) -> &'static str {
        match self {
            Self::FollowWithFragment => include_str!("page/follow_with_fragment.js"),
            Self::KeepForm => include_str!("page/keep_form.js"),
            Self::ResendForm => include_str!("page/resend_form.js"),
        }
    }
}

/// A posted form, to be posted again after the sign-in.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptForm {
    /// The target: path and query.
    pub action: String,
    /// Names and values, in document order.
    pub fields: Vec<(String, String)>,
}

/// Hides the fields, which may hold personal data.
impl std::fmt::Debug for KeptForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptForm([redacted])")
    }
}

/// The next action of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Several links, of which the user chooses one, below a form that chooses by email address.
    Choose {
        /// The form.
        form: Option<AddressForm>,
        /// The links.
        choices: Vec<Choice>,
    },
    /// A link.
    Link {
        /// The label.
        label: &'static str,
        /// The target.
        href: String,
    },
    /// A button that posts.
    Post {
        /// The label.
        label: &'static str,
        /// The target.
        href: String,
    },
    /// A button that posts the kept form, or a link if there is none.
    Resend {
        /// The button's label.
        label: &'static str,
        /// The link's target.
        href: String,
    },
}

/// A link among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The label.
    pub title: String,
    /// The target.
    pub href: String,
    /// The image beside the label.
    pub logo: Option<Logo>,
    /// A class of the link.
    pub css_class: Option<String>,
}

/// A form (GET) with a field for an email address, which it never shows again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressForm {
    /// The target, without a query.
    pub action: String,
    /// The parameters of the target.
    pub fields: Vec<(String, String)>,
    /// The parameter with the address.
    pub name: &'static str,
    /// Whether an address was entered before for which there is no target.
    pub is_unknown: bool,
}

impl<'a> Page<'a> {
    /// A page with this heading and text.
    pub const fn new(title: &'a str, text: &'a str, code: &'a str) -> Self {
        Self {
            title,
            text,
            action: None,
            code,
            request_id: None,
            script: None,
            kept: None,
            is_framed: false,
            style: STYLE,
        }
    }

    /// The page as HTML.
    pub fn html(&self) -> String {
        // Writing to a String cannot fail; even then the code in the header tells the cause.
        self.render().unwrap_or_default()
    }
}

impl Page<'_> {
    const fn has_unknown_address(&self) -> bool {
        matches!(&self.action, Some(Action::Choose { form: Some(AddressForm { is_unknown: true, .. }), .. }))
    }

    fn has_logo(&self) -> bool {
        match &self.action {
            Some(Action::Choose { choices, .. }) => choices.iter().any(|choice| choice.logo.is_some()),
            _ => false,
        }
    }

    /// The Content-Security-Policy: our own style and script, and logos where there are any.
    pub fn content_security_policy(&self) -> String {
        let mut policy = format!("default-src 'none'; style-src {}; base-uri 'none'", *STYLE_SOURCE);
        // Clickjacking: a page in a frame has nothing but links, and the framing page could open their targets itself.
        if !self.is_framed {
            policy.push_str("; frame-ancestors 'none'");
        }
        if let Some(script) = self.script {
            policy.push_str("; script-src ");
            policy.push_str(&source(script.text()));
        }
        if self.has_logo() {
            policy.push_str("; img-src data:");
        }
        // Some browsers apply `form-action` to the redirects that answer a form, such as the one to the provider, which may
        // redirect to any other host in its turn. Pages with such a form have no other form.
        let has_redirected_form = matches!(
            self.action,
            Some(Action::Choose { form: Some(_), .. } | Action::Post { .. } | Action::Resend { .. })
        );
        if !has_redirected_form {
            policy.push_str("; form-action 'none'");
        }
        policy
    }
}
