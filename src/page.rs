//! The HTML page of all local replies to browsers: a text, one action, and the code for the operator. It loads nothing
//! (images are `data:` URLs), may be framed only in answers to frames, and has a script only where a response alone cannot do
//! the work ([`Script`]). The script is our own, allowed by its hash.

pub mod logo;
pub mod look;
pub mod text;

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use logo::Logo;
use look::Look;
use text::{Language, Text};

/// A text in a Content-Security-Policy.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// A page.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// The heading: what happened.
    pub title: Text,
    /// The explanation, and what helps.
    pub texts: Vec<Text>,
    /// Words of others in their own language, in place of the explanation.
    pub words: Option<&'a str>,
    /// The signed-in user.
    pub user: Option<String>,
    /// Details for the operator, in English.
    pub detail: Option<String>,
    /// The next action of the user.
    pub action: Option<Action>,
    /// Further links, below the action.
    pub others: Vec<Link>,
    /// The explanation that the script shows where it cannot do its work.
    pub otherwise: Option<Text>,
    /// The stable code of a failure.
    pub code: Option<&'a str>,
    /// The id of the request in logs (`x-request-id`).
    pub request_id: Option<&'a str>,
    /// The script of the page.
    pub script: Option<Script>,
    /// A form that the browser keeps over the sign-in.
    pub kept: Option<KeptForm>,
    /// Whether it answers a frame. Its links then open in the whole window.
    pub is_framed: bool,
}

/// A page as one language and one look have it. The template escapes every text.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ language.tag() }}" dir="{{ language.direction() }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ self.say(page.title) }}{% if let Some(name) = look.name %} · {{ name }}{% endif %}</title>
<style>{{ look.style()|safe }}</style>
</head>
<body>
<main>
{%- if look.is_named() %}
<div class="site" dir="auto">{% if let Some(logo) = look.logo %}<img src="{{ logo.url() }}" alt="" height="40">{% endif %}{% if let Some(name) = look.name %}<span>{{ name }}</span>{% endif %}</div>
{%- endif %}
<h1>{{ self.say(page.title) }}</h1>
{%- if let Some(user) = page.user %}
<p>{{ self.signed_in_as(user) }}</p>
{%- endif %}
{%- if let Some(words) = page.words %}
<p dir="auto">{{ words }}</p>
{%- else if !page.texts.is_empty() %}
<p{% if page.has_unknown_address() %} id="unknown" role="alert"{% endif %}{% if let Some(text) = page.otherwise %} id="text" data-otherwise="{{ self.say(text) }}"{% endif %}>{{ language.sentences(page.texts) }}</p>
{%- endif %}
{%- if let Some(detail) = page.detail %}
<p lang="en" dir="ltr">{{ detail }}</p>
{%- endif %}
{%- match page.action %}
{%- when Some(Action::Link(link)) %}
<p><a class="button" href="{{ link.href }}"{% if page.is_framed %} target="_top"{% endif %}>{{ self.say(link.label) }}</a></p>
{%- when Some(Action::Choose { form, choices }) %}
{%- if let Some(form) = form %}
<form class="address" action="{{ form.action }}">
{%- for (name, value) in form.fields.iter() %}
<input type="hidden" name="{{ name }}" value="{{ value }}">
{%- endfor %}
<label for="address">{{ self.say(&Text::EmailAddress) }}</label>
<input id="address" type="email" name="{{ form.name }}" maxlength="254" autocomplete="email" required{% if form.is_unknown %} aria-invalid="true" aria-describedby="unknown"{% endif %}>
<button class="button">{{ self.say(&Text::Continue) }}</button>
</form>
{%- endif %}
<ul>
{%- for choice in choices.iter() %}
<li><a class="button{% if let Some(name) = choice.css_class %} {{ name }}{% endif %}" href="{{ choice.href }}" dir="auto"{% if page.is_framed %} target="_top"{% endif %}>
{%- if let Some(logo) = choice.logo %}<img src="{{ logo.url() }}" alt="" width="28" height="28">{% endif %}{{ choice.title }}</a></li>
{%- endfor %}
</ul>
{%- when Some(Action::Post(link)) %}
<form method="post" action="{{ link.href }}"><button class="button">{{ self.say(link.label) }}</button></form>
{%- when Some(Action::Resend(link)) %}
<form method="post" hidden><p><code></code></p><button class="button">{{ self.say(link.label) }}</button></form>
<p hidden><a class="button" href="{{ link.href }}">{{ self.say(&Text::Continue) }}</a></p>
{%- when None %}
{%- endmatch %}
{%- if !page.others.is_empty() %}
<ul class="others">
{%- for link in page.others.iter() %}
<li><a class="button" href="{{ link.href }}"{% if page.is_framed %} target="_top"{% endif %}>{{ self.say(link.label) }}</a></li>
{%- endfor %}
</ul>
{%- endif %}
{%- if let Some(form) = page.kept %}
<form id="kept" hidden method="post" action="{{ form.action }}">
{%- for (name, value) in form.fields.iter() %}
<input type="hidden" name="{{ name }}" value="{{ value }}">
{%- endfor %}
</form>
{%- endif %}
{%- if let Some(script) = page.script %}
<noscript><p>{{ self.say(&Text::NeedsJavascript) }}</p></noscript>
<script>{{ script.text()|safe }}</script>
{%- endif %}
{%- if let Some(text) = look.text %}
<p class="note" dir="auto">{{ text }}</p>
{%- endif %}
{%- if self.has_footer() %}
<footer>
{%- if let Some(url) = look.support_url %}
<p><a href="{{ url }}"{% if page.is_framed %} target="_top"{% endif %}>{{ self.say(&Text::Help) }}</a></p>
{%- endif %}
{%- if let Some(code) = page.code %}
<p>{{ self.say(&Text::Code) }} <code>{{ code }}</code>{% if let Some(id) = page.request_id %} · {{ self.say(&Text::Request) }} <code>{{ id }}</code>{% endif %}</p>
{%- endif %}
</footer>
{%- endif %}
</main>
</body>
</html>
"#
)]
struct Html<'a> {
    page: &'a Page<'a>,
    look: &'a Look,
    language: Language,
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

/// A label and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The label.
    pub label: Text,
    /// The target.
    pub href: String,
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
    Link(Link),
    /// A button that posts.
    Post(Link),
    /// A button that posts the kept form, or a link if there is none.
    Resend(Link),
}

impl Action {
    /// A link.
    pub const fn link(label: Text, href: String) -> Self {
        Self::Link(Link { label, href })
    }
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
    /// A page with this heading and text, which reports success.
    pub fn new(title: Text, texts: &[Text]) -> Self {
        Self {
            title,
            texts: texts.to_vec(),
            words: None,
            user: None,
            detail: None,
            action: None,
            others: Vec::new(),
            otherwise: None,
            code: None,
            request_id: None,
            script: None,
            kept: None,
            is_framed: false,
        }
    }

    /// The page as HTML.
    pub fn html(&self, look: &Look, language: Language) -> String {
        // Writing to a String cannot fail; even then the code in the header tells the cause.
        Html { page: self, look, language }.render().unwrap_or_default()
    }

    const fn has_unknown_address(&self) -> bool {
        matches!(&self.action, Some(Action::Choose { form: Some(AddressForm { is_unknown: true, .. }), .. }))
    }

    fn has_image(&self, look: &Look) -> bool {
        let has_logo = match &self.action {
            Some(Action::Choose { choices, .. }) => choices.iter().any(|choice| choice.logo.is_some()),
            _ => false,
        };
        has_logo || look.logo.is_some()
    }

    /// The Content-Security-Policy: our own style and script, and images where there are any.
    pub fn content_security_policy(&self, look: &Look) -> String {
        let mut policy = format!("default-src 'none'; style-src {}; base-uri 'none'", look.style_source());
        // Clickjacking: a page in a frame has nothing but links, and the framing page could open their targets itself.
        if !self.is_framed {
            policy.push_str("; frame-ancestors 'none'");
        }
        if let Some(script) = self.script {
            policy.push_str("; script-src ");
            policy.push_str(&source(script.text()));
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
}

impl Html<'_> {
    fn say(&self, text: &Text) -> &'static str {
        self.language.get(*text)
    }

    /// The user's name stands between invisible marks (U+2068, U+2069), so that its own direction stays its own.
    fn signed_in_as(&self, user: &str) -> String {
        self.say(&Text::SignedInAs).replace("{user}", &format!("\u{2068}{user}\u{2069}"))
    }

    const fn has_footer(&self) -> bool {
        self.page.code.is_some() || self.look.support_url.is_some()
    }
}
