//! The look of the pages.

use url::Url;

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw::Pages,
    },
    choice, limits, text,
};
use crate::page::look::{Accent, Color, Look};

#[inline(never)]
pub(super) fn look(raw: Pages, at: &At<'_>, faults: &mut Faults) -> Result<Look, Faulty> {
    let name = raw.name.map(|name| text::line(name, &at.key("name"), faults)).transpose();
    let logo = raw.logo.map(|logo| choice::logo(&logo, &at.key("logo"), faults)).transpose();
    let accent = raw.accent_color.map(|color| accent_color(&color, &at.key("accent_color"), faults)).transpose();
    let support_url = raw.support_url.map(|url| support_url(url, &at.key("support_url"), faults)).transpose();
    let text = raw.text.map(|text| page_text(text, &at.key("text"), faults)).transpose();
    let language = raw.language.unwrap_or_default();
    Ok(Look { name: name?, logo: logo?, accent: accent?, support_url: support_url?, text: text?, language })
}

fn accent_color(text: &str, at: &At<'_>, faults: &mut Faults) -> Result<Accent, Faulty> {
    Color::parse(text).map(Accent::from).ok_or_else(|| {
        faults.wrong_value(
            at,
            "a colour as `#rrggbb`, such as \"#0a7d4f\" (in quotes: YAML takes a bare # for a comment)",
            text,
        )
    })
}

/// A link that leads somewhere and runs nothing.
fn support_url(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let is_link = text.len() <= limits::MAX_TEXT
        && Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "https" | "http" | "mailto" | "tel"));
    if is_link {
        return Ok(text);
    }
    Err(faults.wrong_value(at, "a URL with https, http, mailto or tel, such as https://help.example.com/", &text))
}

fn page_text(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let text = text.trim();
    let is_plain = text.chars().all(|c| c == '\n' || !c.is_control());
    if (1..=limits::MAX_PAGE_TEXT).contains(&text.len()) && is_plain {
        return Ok(text.to_owned());
    }
    Err(faults.wrong(at, format!("1 to {} bytes of text, without tabs and control characters", limits::MAX_PAGE_TEXT)))
}
