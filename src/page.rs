//! The one page we show people: a sentence or two, one thing to do next, and the code to tell the operator. It loads
//! nothing, may be framed only where it answers a frame, and has a script only where a browser must do what no answer can
//! ([`Script`]); the script is always one of our own, known by its hash.

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page/style.css");

/// A page. Every text in it is escaped by the template.
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
<p hidden><a class="button" href="{{ href }}">Go on</a></p>
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
    /// What happened, in a few words.
    pub title: &'a str,
    /// What it means, and what helps.
    pub text: &'a str,
    /// What to do next.
    pub action: Option<Action>,
    /// The stable code.
    pub code: &'a str,
    /// The request's id.
    pub request_id: Option<&'a str>,
    /// What the browser must do.
    pub script: Option<Script>,
    /// A form that the browser is to keep.
    pub kept: Option<KeptForm>,
    /// Whether it answers a frame. Its links then open in the whole window.
    pub is_framed: bool,
    style: &'static str,
}

/// What only a script can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Follow the link at once, and take the fragment along, which browsers do not send.
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

/// A form that somebody posted, to be posted again.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptForm {
    /// Where: path and query.
    pub action: String,
    /// Names and values, in order.
    pub fields: Vec<(String, String)>,
}

/// Shows nothing of what somebody entered.
impl std::fmt::Debug for KeptForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptForm([redacted])")
    }
}

/// The one thing to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// One of several links: what each says, and where it goes.
    Choice(Vec<(String, String)>),
    /// A link.
    Link {
        /// What it says.
        label: &'static str,
        /// Where it goes.
        href: String,
    },
    /// A button that posts.
    Post {
        /// What it says.
        label: &'static str,
        /// Where it goes.
        href: String,
    },
    /// A button that posts the kept form, or a link where there is none.
    Resend {
        /// What the button says.
        label: &'static str,
        /// Where the link goes.
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
        // Writing to a String cannot fail; were it to, the code in the header still says what happened.
        self.render().unwrap_or_default()
    }
}

impl Page<'_> {
    /// Its Content-Security-Policy: our own style and script, and nothing else.
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
        // A form that is answered with a redirect (to the provider's sign-out, or wherever the app leads) would be
        // stopped there by browsers that hold redirects to it, too. Pages with such a form have no other.
        if !matches!(self.action, Some(Action::Post { .. } | Action::Resend { .. })) {
            policy.push_str("; form-action 'none'");
        }
        policy
    }
}
