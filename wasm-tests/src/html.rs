//! Forms in pages: just enough HTML to fill in one that a machine has written.

use url::Url;

use crate::user_agent::Outgoing;

/// A form and the fields it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// Where it goes; empty for the page's own URL.
    pub action: String,
    /// The method as it is written, in any case of letters; empty for GET.
    pub method: String,
    /// Names and values of its `input`s and `textarea`s, in order. Those of buttons are not among them.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// The first form of a page.
    pub fn first(html: &str) -> Option<Self> {
        let start = find(html, "<form")?;
        let (attributes, mut rest) = tag(&html[start..]);
        let value = |attributes: &[(String, String)], name: &str| {
            attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
        };
        let text = |name| value(&attributes, name).unwrap_or_default();
        let mut form = Self { action: text("action"), method: text("method"), fields: Vec::new() };
        let end = find(rest, "</form").unwrap_or(rest.len());
        rest = &rest[..end];
        while let Some(at) = [find(rest, "<input"), find(rest, "<textarea")].into_iter().flatten().min() {
            let area = rest[at..].to_ascii_lowercase().starts_with("<textarea");
            let (attributes, after) = tag(&rest[at..]);
            rest = after;
            let kind = value(&attributes, "type").unwrap_or_default().to_ascii_lowercase();
            let Some(name) = value(&attributes, "name").filter(|_| !matches!(kind.as_str(), "submit" | "button"))
            else {
                continue;
            };
            let content = if area {
                let (content, after) = rest.split_at(find(rest, "</textarea").unwrap_or(rest.len()));
                rest = after;
                // HTML, 13.1.2.5: a newline right after the start tag is not part of it.
                decoded(content.strip_prefix('\n').unwrap_or(content))
            } else {
                value(&attributes, "value").unwrap_or_default()
            };
            form.fields.push((name, content));
        }
        Some(form)
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The URL of the target, and the request that posts the form from the page at this URL.
    ///
    /// # Panics
    /// When there is no such URL.
    pub fn post(&self, page: &str) -> (String, Outgoing) {
        let to = Url::parse(page).and_then(|page| page.join(&self.action)).expect("a form that leads somewhere");
        let fields: Vec<(&str, &str)> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let target = to.query().map_or_else(|| to.path().to_owned(), |query| format!("{}?{query}", to.path()));
        (to.to_string(), Outgoing::form(target, &fields))
    }
}

/// Where a tag begins, in any case of letters.
fn find(html: &str, tag: &str) -> Option<usize> {
    html.to_ascii_lowercase().find(tag)
}

/// The attributes of the tag at the beginning, and what follows it.
fn tag(html: &str) -> (Vec<(String, String)>, &str) {
    let mut attributes = Vec::new();
    let mut rest = html.trim_start_matches(|char: char| !char.is_ascii_whitespace() && char != '>');
    loop {
        rest = rest.trim_start_matches(|char: char| char.is_ascii_whitespace() || char == '/');
        if rest.is_empty() || rest.starts_with('>') {
            return (attributes, rest.strip_prefix('>').unwrap_or(rest));
        }
        let end = rest.find(|char: char| char.is_ascii_whitespace() || "=>/".contains(char)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (value, after) = match after.trim_start().strip_prefix('=').map(str::trim_start) {
            None => ("", after),
            Some(after) => match after.chars().next().filter(|quote| "\"'".contains(*quote)) {
                Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                None => after.split_at(
                    after.find(|char: char| char.is_ascii_whitespace() || char == '>').unwrap_or(after.len()),
                ),
            },
        };
        attributes.push((name.to_ascii_lowercase(), decoded(value)));
        // An unfinished tag may end in an empty name, at which the loop would stay for ever.
        rest = if after.len() < rest.len() { after } else { "" };
    }
}

/// Text with its character references decoded.
fn decoded(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let reference = after.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        let (character, after) = reference.unwrap_or(('&', after));
        plain.push(character);
        rest = after;
    }
    plain + rest
}

fn character(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "amp" => Some('&'),
        "apos" => Some('\''),
        "gt" => Some('>'),
        "lt" => Some('<'),
        "quot" => Some('"'),
        _ => {
            let digits = name.strip_prefix('#')?;
            digits.strip_prefix(['x', 'X']).map_or_else(|| number(digits, 10), |hex| number(hex, 16))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_submits_an_html_form() {
        let html = "<h1>x</h1><FORM id=a method='post' action=\"/end?a=1&amp;b=2\"><input type=hidden name=one value=1>\
                    <input name='two' value=\"&lt;&#39;&#x22;&amp;amp;\"/><input type=submit name=no value=x>\
                    <textarea name=three>\nline\n&gt;</textarea><input name=four></form><input name=after>";
        let form = Form::first(html).unwrap();
        assert_eq!((form.action.as_str(), form.method.as_str()), ("/end?a=1&b=2", "post"));
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("one", "1"), ("two", "<'\"&amp;"), ("three", "line\n>"), ("four", "")]);
        assert_eq!((form.field("one"), form.field("after")), (Some("1"), None));
        let (to, send) = form.post("http://idp:1/page");
        assert_eq!((to.as_str(), send.target.as_slice()), ("http://idp:1/end?a=1&b=2", &b"/end?a=1&b=2"[..]));
        assert!(send.body.starts_with(b"one=1&two=%3C%27%22%26amp%3B&"));
        assert_eq!(Form::first("<p>none</p>"), None);
    }
}
