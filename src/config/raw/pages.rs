//! The look of the pages.

#[cfg(test)]
use super::super::resolve::limits;
use super::super::shape::{Place, Shape, fields};
use crate::page::text::Language;

/// The look of the filter's own pages.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Pages {
    /// The name of the site, above the heading of each page and in its title. By default there is none.
    #[cfg_attr(test, schemars(length(min = 1, max = limits::MAX_RULE_NAME), extend("examples" = ["Example Wiki"])))]
    pub(in crate::config) name: Option<String>,
    /// The image beside the name, 40 pixels high: as `providers[].logo`. By default there is none.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_LOGO),
        extend("examples" = ["data:image/png;base64,iVBORw0KGgo="])
    ))]
    pub(in crate::config) logo: Option<String>,
    /// The colour of buttons, as `#rrggbb`, in light and dark mode. Their text is black or white, whichever has more
    /// contrast. By default a blue.
    #[cfg_attr(test, schemars(regex(pattern = "^#[0-9a-fA-F]{6}$"), extend("examples" = ["#0a7d4f"])))]
    pub(in crate::config) accent_color: Option<String>,
    /// The target of the link "Get help" on each page: an `https`, `http`, `mailto` or `tel` URL. By default there is no link.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_TEXT),
        extend("examples" = ["https://help.example.com/sign-in", "mailto:help@example.com"])
    ))]
    pub(in crate::config) support_url: Option<String>,
    /// A text on each page, below the actions of the page: 1 to 1000 bytes, with your line breaks, without markup. By
    /// default there is none.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_PAGE_TEXT),
        extend("examples" = ["New here? Ask your team lead for an account."])
    ))]
    pub(in crate::config) text: Option<String>,
    /// The language of users whose browser prefers none of these (`Accept-Language`). Your own texts, such as `text`, are
    /// the same in all languages.
    #[cfg_attr(test, schemars(extend("default" = "en")))]
    pub(in crate::config) language: Option<Language>,
}

fields!(Pages { name, logo, accent_color, support_url, text, language });

impl Shape for Language {
    fn read(place: Place<'_>) -> Self {
        Self::from_tag(place.word(&Self::ALL.map(Self::primary_subtag))).unwrap_or_default()
    }
}
