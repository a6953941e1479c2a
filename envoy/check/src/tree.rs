//! A document as a tree in which each value knows its place in the file.

use std::fmt::Write;

use vestibule::config::{Path, Segment};

/// The deepest accepted nesting: the filter reads less, and every walk over a tree is recursive.
pub(crate) const MAX_DEPTH: usize = 100;

/// A place in a file. Both counts begin at 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// Text that is not YAML or JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) at: Position,
    pub(crate) reason: String,
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String, Layout),
    List(Vec<Node>),
    /// In the order of the file, with duplicates.
    Object(Vec<Member>),
}

/// How a text is laid out in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each line of the text is one of the file; this is where its first line that is not blank begins.
    Block(Position),
    /// On one line as it is, from here on.
    Inline(Position),
    /// With escapes, or folded.
    Other,
    /// A plain scalar of YAML, whose type is not known yet.
    Plain,
    /// One with the tag `!!str`, which Envoy does not heed.
    PlainString,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) key: String,
    /// Where the key is.
    pub(crate) at: Position,
    /// Whether the key has the tag `!ignore`: Envoy leaves it out.
    pub(crate) is_ignored: bool,
    pub(crate) node: Node,
}

impl Node {
    /// The members, where it is an object.
    pub(crate) fn members(&self) -> &[Member] {
        if let Value::Object(members) = &self.value { members } else { &[] }
    }

    /// The elements, where it is a list.
    pub(crate) fn elements(&self) -> &[Self] {
        if let Value::List(elements) = &self.value { elements } else { &[] }
    }

    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text, _) = &self.value { Some(text) } else { None }
    }

    pub(crate) const fn truth(&self) -> Option<bool> {
        if let Value::Bool(value) = self.value { Some(value) } else { None }
    }

    /// The first member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|member| member.key == name).map(|member| &member.node)
    }

    /// The first member of this name, in which protobuf may write `max_size` as `maxSize`.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let is_it = |key: &str| key == name || key.contains(char::is_uppercase) && snake_case(key) == name;
        self.members().iter().find(|member| is_it(&member.key)).map(|member| &member.node)
    }

    /// The value at the end of these fields.
    pub(crate) fn at_path(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |node, name| node.field(name))
    }

    /// The value at this path.
    pub(crate) fn value_at(&self, path: &Path) -> Option<&Self> {
        path.segments().iter().try_fold(self, Self::below)
    }

    /// Where the value at this path is; where it is missing, the nearest one around it.
    pub(crate) fn place(&self, path: &Path) -> Position {
        let mut node = self;
        for segment in path.segments() {
            let Some(below) = node.below(segment) else { break };
            node = below;
        }
        node.at
    }

    /// Where the key of the member at this path is, the last one of this name.
    pub(crate) fn place_of_key(&self, path: &Path) -> Option<Position> {
        let (last, around) = path.segments().split_last()?;
        let parent = around.iter().try_fold(self, Self::below)?;
        let Segment::Key(name) = last else { return None };
        parent.members().iter().rfind(|member| member.key == *name).map(|member| member.at)
    }

    fn below(&self, segment: &Segment) -> Option<&Self> {
        match segment {
            Segment::Index(index) => self.elements().get(*index),
            Segment::Key(key) => self.get(key),
        }
    }

    /// Where the value is that a message names at its beginning, such as `rules[2] (admins) can never match`.
    pub(crate) fn named_place(&self, message: &str) -> Option<Position> {
        let end = message.find(|letter: char| !letter.is_alphanumeric() && !"_.[]".contains(letter))?;
        let (path, _) = message.split_at_checked(end)?;
        let mut node = self;
        for step in path.split(['.', '[']) {
            node = match step.strip_suffix(']') {
                Some(index) => node.elements().get(index.parse::<usize>().ok()?)?,
                None => node.get(step)?,
            };
        }
        Some(node.at)
    }

    /// Calls `with` for this value and each one in it.
    pub(crate) fn visit<'a>(&'a self, with: &mut dyn FnMut(&'a Self)) {
        with(self);
        self.elements().iter().for_each(|element| element.visit(with));
        self.members().iter().for_each(|member| member.node.visit(with));
    }

    /// Whether a value at this place is here or below.
    pub(crate) fn contains(&self, at: Position) -> bool {
        let mut is_there = false;
        self.visit(&mut |node| is_there |= node.at == at);
        is_there
    }

    /// Whether a member of this name is here or below.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        let mut is_there = false;
        self.visit(&mut |node| is_there |= node.field(name).is_some());
        is_there
    }

    /// Whether something here or below has this `name`.
    pub(crate) fn defines(&self, name: &str) -> bool {
        let mut is_there = false;
        self.visit(&mut |node| is_there |= node.get("name").and_then(Self::text) == Some(name));
        is_there
    }

    /// Whether a text here or below contains this one.
    pub(crate) fn has_text(&self, part: &str) -> bool {
        let mut is_there = false;
        self.visit(&mut |node| is_there |= node.text().is_some_and(|text| text.contains(part)));
        is_there
    }

    /// The same tree with its places moved by `by`.
    pub(crate) fn moved(&mut self, by: &dyn Fn(Position) -> Position) {
        self.at = by(self.at);
        match &mut self.value {
            Value::Text(_, layout) => *layout = Layout::Other,
            Value::List(elements) => elements.iter_mut().for_each(|element| element.moved(by)),
            Value::Object(members) => {
                for member in members {
                    member.at = by(member.at);
                    member.node.moved(by);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Where in the file a place within this text is.
    pub(crate) fn place_within(&self, inner: Position) -> Position {
        let Value::Text(text, layout) = &self.value else { return self.at };
        match layout {
            Layout::Block(first) => {
                let blank = text.split('\n').take_while(|line| line.trim_matches([' ', '\t', '\r']).is_empty()).count();
                Position {
                    line: first.line.saturating_add(inner.line).saturating_sub(blank.saturating_add(1)).max(1),
                    column: first.column.saturating_add(inner.column).saturating_sub(1),
                }
            }
            Layout::Inline(start) if inner.line == 1 => {
                Position { column: start.column.saturating_add(inner.column).saturating_sub(1), ..*start }
            }
            Layout::Inline(_) | Layout::Other | Layout::Plain | Layout::PlainString => self.at,
        }
    }

    /// The same document as JSON, duplicates included: the filter reads both forms alike.
    pub(crate) fn json(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json);
        json
    }

    fn write_json(&self, json: &mut String) {
        match &self.value {
            Value::Null => json.push_str("null"),
            Value::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            // Beyond any number of a setting, and JSON has no infinity.
            Value::Number(number) if !number.is_finite() => json.push_str("1e300"),
            Value::Number(number) => drop(write!(json, "{number}")),
            Value::Text(text, _) => json.push_str(&quoted(text)),
            Value::List(elements) => {
                for (place, element) in elements.iter().enumerate() {
                    json.push(if place == 0 { '[' } else { ',' });
                    element.write_json(json);
                }
                json.push_str(if elements.is_empty() { "[]" } else { "]" });
            }
            Value::Object(members) => {
                for (place, member) in members.iter().enumerate() {
                    json.push(if place == 0 { '{' } else { ',' });
                    json.push_str(&quoted(&member.key));
                    json.push(':');
                    member.node.write_json(json);
                }
                json.push_str(if members.is_empty() { "{}" } else { "}" });
            }
        }
    }
}

/// The text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `maxSize` as `max_size`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
