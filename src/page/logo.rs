//! Logos of providers: images in `data:` URLs, which load nothing. They are shown by `<img>` alone, where an SVG runs no
//! script (SVG Integration, "secure static mode").

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD};

/// Upper bound of a logo as configured, in bytes: each page of choice has the logos of all its providers.
pub const MAX_LOGO: usize = 8192;

/// The namespace of SVG. As an image of its own, an SVG without it shows nothing.
const SVG_NAMESPACE: &str = "http://www.w3.org/2000/svg";
const SVG_TYPE: &str = "image/svg+xml";

/// An image as a `data:` URL, written by us: the media type is one of the list, the rest is base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo(Rc<str>);

/// The expected form of a logo, for a text of another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// Neither the text of an SVG nor a `data:` URL of a known type in base64.
    #[error(
        "an SVG as text (`<svg ...>`), or a `data:` URL in base64 of image/svg+xml, image/png, image/webp, image/gif or \
         image/jpeg, such as data:image/png;base64,..."
    )]
    NoImage,
    /// A document type with declarations of its own.
    #[error("an SVG without `<!DOCTYPE ... [...]>`: take the DOCTYPE out, which images do not need")]
    Doctype,
    /// The content is not of the type that the URL names.
    #[error("a `data:` URL whose content is an image of the type that the URL names")]
    OtherContent,
    /// An SVG without its namespace or its end.
    #[error("a whole SVG with `xmlns=\"http://www.w3.org/2000/svg\"`: browsers show no other as an image")]
    IncompleteSvg,
    /// Longer than [`MAX_LOGO`].
    #[error("at most {MAX_LOGO} bytes")]
    TooLong,
}

impl Logo {
    /// Reads the text of an SVG, or a `data:` URL.
    ///
    /// # Errors
    /// [`LogoError`]
    pub fn parse(text: &str) -> Result<Self, LogoError> {
        let text = text.trim();
        if text.len() > MAX_LOGO {
            return Err(LogoError::TooLong);
        }
        if text.starts_with('<') {
            return check_svg(text, LogoError::NoImage).map(|()| Self::of(SVG_TYPE, text.as_bytes()));
        }
        let (media_type, content) =
            text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).ok_or(LogoError::NoImage)?;
        let check = check_of(media_type).ok_or(LogoError::NoImage)?;
        let content = STANDARD.decode(content).map_err(|_| LogoError::NoImage)?;
        check(&content).map(|()| Self::of(media_type, &content))
    }

    fn of(media_type: &str, content: &[u8]) -> Self {
        Self(format!("data:{media_type};base64,{}", STANDARD.encode(content)).into())
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.0
    }
}

type Check = fn(&[u8]) -> Result<(), LogoError>;

/// The check that content is of this media type, by its first bytes (MIME Sniffing, 6.1).
fn check_of(media_type: &str) -> Option<Check> {
    const fn other_unless(is_it: bool) -> Result<(), LogoError> {
        if is_it { Ok(()) } else { Err(LogoError::OtherContent) }
    }
    Some(match media_type {
        "image/gif" => |content| other_unless(content.starts_with(b"GIF8")),
        "image/jpeg" => |content| other_unless(content.starts_with(b"\xff\xd8\xff")),
        "image/png" => |content| other_unless(content.starts_with(b"\x89PNG\r\n\x1a\n")),
        SVG_TYPE => |content| {
            let text = std::str::from_utf8(content).map_err(|_| LogoError::OtherContent)?;
            check_svg(text.trim(), LogoError::OtherContent)
        },
        "image/webp" => |content| other_unless(content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP")),
        _ => return None,
    })
}

/// Checks that the text is a whole SVG; `other` is the error where it is something else.
fn check_svg(text: &str, other: LogoError) -> Result<(), LogoError> {
    let root = svg_root(text)?.ok_or(other)?;
    let has_namespace = root.split_once('>').is_some_and(|(start, _)| start.contains(SVG_NAMESPACE));
    if root.ends_with("</svg>") && has_namespace { Ok(()) } else { Err(LogoError::IncompleteSvg) }
}

/// The SVG from its first element on: behind the XML declaration, a document type and comments. `None` where it is no SVG.
fn svg_root(mut text: &str) -> Result<Option<&str>, LogoError> {
    const DOCTYPE: &str = "<!DOCTYPE";
    const BEFORE: [(&str, &str); 3] = [("<?", "?>"), ("<!--", "-->"), (DOCTYPE, ">")];
    while let Some((start, end)) = BEFORE.into_iter().find(|(start, _)| text.starts_with(start)) {
        let Some((passed, rest)) = text.get(start.len()..).and_then(|rest| rest.split_once(end)) else {
            return Ok(None);
        };
        if start == DOCTYPE && passed.contains('[') {
            return Err(LogoError::Doctype);
        }
        text = rest.trim_start();
    }
    let name_ends = |rest: &str| rest.starts_with(|next: char| next.is_ascii_whitespace() || next == '>');
    Ok(text.strip_prefix("<svg").is_some_and(name_ends).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>"#;

    fn url(media_type: &str, content: &[u8]) -> String {
        format!("data:{media_type};base64,{}", STANDARD.encode(content))
    }

    #[test]
    fn reads_svg_text_and_data_urls_of_images() {
        let with_prolog = format!("<?xml version=\"1.0\"?>\n<!-- made\nby hand --><!DOCTYPE svg>\n{SVG}");
        let indented = format!("\n  {SVG}\n");
        for (text, expected) in [(SVG, SVG), (&with_prolog, &with_prolog), (&indented, SVG)] {
            assert_eq!(Logo::parse(text).unwrap().url(), url("image/svg+xml", expected.as_bytes()), "{text}");
        }
        for (media_type, content) in [
            ("image/svg+xml", SVG.as_bytes()),
            ("image/png", b"\x89PNG\r\n\x1a\n..."),
            ("image/gif", b"GIF89a..."),
            ("image/jpeg", b"\xff\xd8\xff\xe0..."),
            ("image/webp", b"RIFF\x01\x02\x03\x04WEBPVP8 "),
        ] {
            let text = url(media_type, content);
            assert_eq!(Logo::parse(&text).unwrap().url(), text);
        }
    }

    #[test]
    fn refuses_unsafe_and_malformed_logos() {
        let png = url("image/png", b"\x89PNG\r\n\x1a\n...");
        let bare = SVG.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
        let cases = [
            (String::new(), LogoError::NoImage),
            ("https://login.example.com/logo.svg".to_owned(), LogoError::NoImage),
            ("javascript:alert(1)".to_owned(), LogoError::NoImage),
            ("<script>alert(1)</script>".to_owned(), LogoError::NoImage),
            (format!("<img src=x onerror=alert(1)>{SVG}"), LogoError::NoImage),
            ("<svgs>".to_owned(), LogoError::NoImage),
            ("<!-- never ends".to_owned(), LogoError::NoImage),
            ("<".to_owned(), LogoError::NoImage),
            (bare, LogoError::IncompleteSvg),
            (SVG.replace("</svg>", ""), LogoError::IncompleteSvg),
            (format!("<svg>{SVG}"), LogoError::IncompleteSvg),
            (format!("<!DOCTYPE svg [<!ENTITY a \"b\">]>{SVG}"), LogoError::Doctype),
            (format!("<?xml version=\"1.0\"?>\n<!DOCTYPE svg PUBLIC \"x\" \"y\" [\n]>{SVG}"), LogoError::Doctype),
            (url("image/svg+xml", format!("<!DOCTYPE svg [ <!ENTITY a \"b\"> ]>{SVG}").as_bytes()), LogoError::Doctype),
            (url("image/svg+xml", b"<svg></svg>"), LogoError::IncompleteSvg),
            (url("text/html", SVG.as_bytes()), LogoError::NoImage),
            (url("image/svg+xml;charset=utf-8", SVG.as_bytes()), LogoError::NoImage),
            (url("IMAGE/PNG", b"\x89PNG\r\n\x1a\n"), LogoError::NoImage),
            (format!("data:image/svg+xml,{SVG}"), LogoError::NoImage),
            (format!("{png}\" onerror=\"alert(1)"), LogoError::NoImage),
            (format!("{png}*"), LogoError::NoImage),
            (url("image/png", b"<svg"), LogoError::OtherContent),
            (url("image/svg+xml", b"\xff\xfe"), LogoError::OtherContent),
            (url("image/svg+xml", b"<html>"), LogoError::OtherContent),
            (url("image/webp", b"RIFF"), LogoError::OtherContent),
            (format!("<svg{}", " ".repeat(MAX_LOGO)) + "x", LogoError::TooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(Logo::parse(&text), Err(expected), "{text}");
        }
    }
}
