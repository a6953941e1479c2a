//! The HTML page of all local replies to browsers: a text, one action, and the code for the operator. It loads nothing,
//! may be framed only in answers to frames, and has a script only where a response alone cannot do the work
//! ([`Script`]). The script is our own, allowed by its hash.

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page/style.css");

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
<p>{{ text }}</p>
{%- match action %}
{%- when Some(Action::Link { label, href }) %}
<p><a class="button" href="{{ href }}"{% if is_framed %} target="_top"{% endif %}>{{ label }}</a></p>
{%- when Some(Action::Choice(choices)) %}
<ul>
{%- for (label, href) in choices.iter() %}
<li><a class="button" href="{{ href }}"{% if is_framed %} target="_top"{% endif %}>{{ label }}</a></li>
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
    /// Several links, as labels and targets.
    Choice(Vec<(String, String)>),
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
    /// The Content-Security-Policy: our own style and script, nothing else.
    pub fn content_security_policy(&self) -> String {
        let source = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        let mut policy = format!("default-src 'none'; style-src {}; base-uri 'none'", source(STYLE));
        // Clickjacking: a page in a frame has nothing but links, and the framing page could open their targets itself.
        if !self.is_framed {
            policy.push_str("; frame-ancestors 'none'");
        }
        if let Some(script) = self.script {
            policy.push_str("; script-src ");
            policy.push_str(&source(script.text()));
        }
        // Some browsers apply `form-action` to the redirect that answers a form, such as the one to the provider's
        // sign-out. Pages with such a form have no other form.
        if !matches!(self.action, Some(Action::Post { .. } | Action::Resend { .. })) {
            policy.push_str("; form-action 'none'");
        }
        policy
    }
}
