//! The HTML of a page.

use askama::Template;

use super::{
    Action, AddressForm, Page,
    look::Look,
    text::{Language, Text},
};

/// A page in one language and with one look. The template escapes every text.
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
{%- if let Some(message) = page.message %}
<p dir="auto">{{ message }}</p>
{%- else if !page.texts.is_empty() %}
<p{% if page.has_unknown_address() %} id="unknown" role="alert"{% endif %}{% if let Some(text) = page.fallback %} id="text" data-fallback="{{ self.say(text) }}"{% endif %}>{{ language.sentences(page.texts) }}</p>
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
{%- if !page.secondary_links.is_empty() %}
<ul class="secondary">
{%- for link in page.secondary_links.iter() %}
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

impl Page<'_> {
    /// The page as HTML.
    pub fn html(&self, look: &Look, language: Language) -> String {
        // Writing to a String cannot fail; even then the code in the header tells the cause.
        Html { page: self, look, language }.render().unwrap_or_default()
    }

    const fn has_unknown_address(&self) -> bool {
        matches!(&self.action, Some(Action::Choose { form: Some(AddressForm { is_unknown: true, .. }), .. }))
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
