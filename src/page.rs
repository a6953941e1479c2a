//! The one page we show people: a sentence or two, one thing to do next, and the code to tell the operator. It needs
//! no script, loads nothing, and may not be framed.

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");

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
<p><a class="button" href="{{ href }}">{{ label }}</a></p>
{%- when Some(Action::Post { label, href }) %}
<form method="post" action="{{ href }}"><button class="button">{{ label }}</button></form>
{%- when None %}
{%- endmatch %}
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
    style: &'static str,
}

/// The one thing to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
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
}

impl<'a> Page<'a> {
    /// A page with this heading and text.
    pub const fn new(title: &'a str, text: &'a str, code: &'a str) -> Self {
        Self { title, text, action: None, code, request_id: None, style: STYLE }
    }

    /// The page as HTML.
    pub fn html(&self) -> String {
        // Writing to a String cannot fail; were it to, the code in the header still says what happened.
        self.render().unwrap_or_default()
    }
}

/// The Content-Security-Policy of our pages: nothing but our own style, and forms to ourselves.
pub fn content_security_policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}
