//! The look of the pages: the style, and what the operator adds to it.

use std::sync::LazyLock;

use super::{inline, logo::Logo, text::Language};

const STYLE: &str = include_str!("style.css");
/// The style in a Content-Security-Policy. Computed once: hashing takes longer than all the rest of a refusal.
static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| inline::source(STYLE));

/// The look that all pages of a site share.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The name of the site.
    pub name: Option<String>,
    /// The image beside the name.
    pub logo: Option<Logo>,
    /// A page or an address where users get help.
    pub support_url: Option<String>,
    /// A text of the operator.
    pub text: Option<String>,
    /// The language of users whose browser prefers none of ours.
    pub language: Language,
    /// The colour of buttons, where it is not that of the style.
    pub accent: Option<Accent>,
}

/// The style with another accent colour, and its source in a Content-Security-Policy.
#[derive(Debug, Clone)]
pub struct Accent {
    style: String,
    source: String,
}

/// A colour: red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub [u8; 3]);

impl Color {
    /// Reads `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let mut color = [0; 3];
        base16ct::mixed::decode(digits, &mut color).ok().filter(|color| color.len() == 3)?;
        Some(Self(color))
    }

    /// The relative luminance (WCAG 2.2), from 0 to 1: within 0.002, by a polynomial in place of the exponent of 2.4.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            value * (value * (value * 0.305_306 + 0.682_171) + 0.012_523)
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Black or white, whichever stands out better from this colour: by at least 4.5 to 1 (WCAG 2.2, 1.4.3).
    fn of_text(self) -> &'static str {
        if self.luminance() > EQUAL_CONTRAST { "#000" } else { "#fff" }
    }
}

/// The luminance from which black and white stand out equally.
const EQUAL_CONTRAST: f64 = 0.179;

impl From<Color> for Accent {
    fn from(color: Color) -> Self {
        let accent = base16ct::lower::encode_string(&color.0);
        // `:root:root` is more specific than each `:root` of the style, the one for the dark too.
        let style = format!("{STYLE}:root:root {{ --accent: #{accent}; --on-accent: {} }}\n", color.of_text());
        let source = inline::source(&style);
        Self { style, source }
    }
}

impl Look {
    pub(super) fn style(&self) -> &str {
        self.accent.as_ref().map_or(STYLE, |accent| &accent.style)
    }

    pub(super) fn style_source(&self) -> &str {
        self.accent.as_ref().map_or(&STYLE_SOURCE, |accent| &accent.source)
    }

    pub(super) const fn is_named(&self) -> bool {
        self.name.is_some() || self.logo.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition (WCAG 2.2, "relative luminance").
    fn exact(color: Color) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = color.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn text_contrasts_with_every_accent_colour() {
        let channel = || (0..=255).step_by(5);
        for (red, green, blue) in
            channel().flat_map(|red| channel().flat_map(move |green| channel().map(move |blue| (red, green, blue))))
        {
            let color = Color([red, green, blue]);
            let luminance = exact(color);
            assert!((color.luminance() - luminance).abs() < 0.002, "{color:?}");
            let contrast = match color.of_text() {
                "#000" => (luminance + 0.05) / 0.05,
                _ => 1.05 / (luminance + 0.05),
            };
            assert!(contrast >= 4.5, "{color:?}: {contrast}");
        }
    }

    #[test]
    fn a_colour_is_three_bytes_in_hex() {
        assert_eq!(Color::parse("#0a7D4f"), Some(Color([0x0a, 0x7d, 0x4f])));
        for text in
            ["", "#", "#fff", "0a7d4f", "#0a7d4", "#0a7d4f0", "#0a7d4f00", "#0a7d4g", "red", "#\u{e9}a7d4", " #0a7d4f"]
        {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_csp_hash_matches_the_inline_style() {
        let accented = Look { accent: Some(Color([10, 125, 79]).into()), ..Look::default() };
        for look in [Look::default(), accented.clone()] {
            assert_eq!(look.style_source(), inline::source(look.style()));
        }
        assert!(accented.style().ends_with(":root:root { --accent: #0a7d4f; --on-accent: #fff }\n"));
    }
}
