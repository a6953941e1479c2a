//! Reads YAML with the place of each value. What a plain scalar means depends on the program that reads the file:
//! [`resolve`].

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use crate::tree::{Layout, MAX_DEPTH, Member, Node, Position, SyntaxError, Value};

/// The largest total size of a file's documents once aliases are expanded; a few lines of aliases can name terabytes.
const MAX_EXPANDED: usize = 64 * 1024 * 1024;
/// The size that is counted for a value beside its text, in bytes.
const NODE_SIZE: usize = 64;

/// The program that reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Envoy: whole numbers of 32 bits are numbers, others text; keys with the tag `!ignore` are left out.
    Envoy,
    /// Kubernetes: numbers are numbers, and `<<` merges.
    Kubernetes,
}

/// Reads every document of the text. Plain scalars are texts until [`resolve`].
pub(crate) fn read(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| SyntaxError { at: position(*error.marker()), reason: explained(error.info()) })?;
        let at = position(span.start);
        builder.add(event, span).map_err(|reason| SyntaxError { at, reason: reason.to_owned() })?;
    }
    Ok(builder.documents)
}

/// The parser's message, with what it usually comes from.
fn explained(reason: &str) -> String {
    let cause = if reason.contains("tab") {
        "indent with spaces"
    } else if reason.contains("expect ':'") {
        "`name: value` has a space after the colon"
    } else if reason.contains("did not find expected") {
        "this line, or one before it, is not indented as those beside it"
    } else if reason.contains("mapping values are not allowed") {
        "the line before lacks a space after its colon, or a text with `: ` in it lacks quotes"
    } else if reason.contains("quoted scalar") {
        "a quote is not closed"
    } else if reason.contains("flow") {
        "a bracket or brace is not closed"
    } else {
        return reason.to_owned();
    };
    format!("{reason}: {cause}")
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col().saturating_add(1) }
}

/// A list or object that is not complete.
struct Frame {
    at: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Object(Vec<Member>, Option<Key>),
}

struct Key {
    name: String,
    at: Position,
    is_ignored: bool,
}

struct Anchored {
    node: Node,
    size: usize,
    height: usize,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    size: usize,
}

type Refused = &'static str;

impl Builder {
    fn add(&mut self, event: Event<'_>, span: Span) -> Result<(), Refused> {
        let at = position(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_ignored = tag.as_ref().is_some_and(|tag| tag.handle == "!" && tag.suffix == "ignore");
                let layout = layout(&text, style, tag.as_deref(), span);
                self.grow(NODE_SIZE.saturating_add(text.len()))?;
                let node = Node { at, value: Value::Text(text.into_owned(), layout) };
                self.place(node, anchor, is_ignored)
            }
            Event::SequenceStart(anchor, _) => self.open(at, anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(at, anchor, Content::Object(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Frame { at, anchor, content }) = self.open.pop() else { return Ok(()) };
                let value = match content {
                    Content::List(elements) => Value::List(elements),
                    Content::Object(members, _) => Value::Object(members),
                };
                self.place(Node { at, value }, anchor, false)
            }
            Event::Alias(anchor) => {
                let anchored = self.anchors.get(&anchor).ok_or("an alias of a value that contains it")?;
                if self.open.len().saturating_add(anchored.height) > MAX_DEPTH {
                    return Err(TOO_DEEP);
                }
                let size = anchored.size;
                self.grow(size)?;
                let node = self.anchors.get(&anchor).map(|anchored| anchored.node.clone());
                node.map_or(Ok(()), |node| self.place(node, 0, false))
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn grow(&mut self, by: usize) -> Result<(), Refused> {
        self.size = self.size.saturating_add(by);
        if self.size > MAX_EXPANDED { Err("the aliases of this file stand for too much") } else { Ok(()) }
    }

    fn open(&mut self, at: Position, anchor: usize, content: Content) -> Result<(), Refused> {
        self.grow(NODE_SIZE)?;
        self.open.push(Frame { at, anchor, content });
        if self.open.len() > MAX_DEPTH { Err(TOO_DEEP) } else { Ok(()) }
    }

    fn place(&mut self, node: Node, anchor: usize, is_ignored: bool) -> Result<(), Refused> {
        if anchor > 0 {
            let (size, height) = measure(&node);
            self.grow(size)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, height });
        }
        match self.open.last_mut().map(|frame| &mut frame.content) {
            None => self.documents.push(node),
            Some(Content::List(elements)) => elements.push(node),
            Some(Content::Object(members, key)) => match key.take() {
                Some(Key { name, at, is_ignored }) => members.push(Member { key: name, at, is_ignored, node }),
                None => {
                    let Value::Text(name, _) = node.value else { return Err("a key that is a list or an object") };
                    *key = Some(Key { name, at: node.at, is_ignored });
                }
            },
        }
        Ok(())
    }
}

const TOO_DEEP: Refused = "nested too deeply";

fn layout(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Layout {
    let is_on_one_line = |quotes: usize| {
        span.start.line() == span.end.line()
            && tag.is_none()
            && text.chars().count().saturating_add(quotes) == span.len()
    };
    let start = position(span.start);
    match style {
        ScalarStyle::Plain => match tag {
            Some(Tag { handle, suffix }) if handle.is_empty() && suffix == "!" => Layout::Other,
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Layout::PlainString,
            _ => Layout::Plain,
        },
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted if is_on_one_line(2) => {
            Layout::Inline(Position { column: start.column.saturating_add(1), ..start })
        }
        ScalarStyle::Literal => Layout::Block(start),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Folded => Layout::Other,
    }
}

/// The size of a tree, and its height.
fn measure(node: &Node) -> (usize, usize) {
    let text = node.text().map_or(0, str::len);
    let below = node.elements().iter().map(|element| (0, element));
    let below = below.chain(node.members().iter().map(|member| (member.key.len(), &member.node)));
    below.fold((NODE_SIZE.saturating_add(text), 1), |(size, height), (key, node)| {
        let (more, below) = measure(node);
        (size.saturating_add(key).saturating_add(more), height.max(below.saturating_add(1)))
    })
}

/// Gives the plain scalars of this tree their types.
pub(crate) fn resolve(node: &mut Node, dialect: Dialect) {
    match &mut node.value {
        Value::Text(_, layout @ Layout::PlainString) if dialect == Dialect::Kubernetes => *layout = Layout::Other,
        Value::Text(text, Layout::Plain | Layout::PlainString) => {
            node.value = plain(std::mem::take(text), dialect, node.at);
        }
        Value::List(elements) => elements.iter_mut().for_each(|element| resolve(element, dialect)),
        Value::Object(members) => {
            members.iter_mut().for_each(|member| resolve(&mut member.node, dialect));
            match dialect {
                Dialect::Envoy => members.retain(|member| !member.is_ignored),
                Dialect::Kubernetes => merge(members),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(..) => {}
    }
}

/// Both programs take the words of YAML 1.1 for truths, in small letters, in capitals, or with one capital.
fn plain(text: String, dialect: Dialect, at: Position) -> Value {
    let lower = text.to_ascii_lowercase();
    let rest = text.get(1..).unwrap_or_default();
    let is_word = rest == rest.to_ascii_lowercase() || text == text.to_ascii_uppercase();
    match lower.as_str() {
        "" | "~" => return Value::Null,
        "null" if is_word => return Value::Null,
        "y" | "yes" | "on" | "true" if is_word => return Value::Bool(true),
        "n" | "no" | "off" | "false" if is_word => return Value::Bool(false),
        _ => {}
    }
    match (dialect, whole(&text, dialect)) {
        (Dialect::Envoy, Some(number)) if i32::try_from(number).is_err() => {
            Value::Text(number.to_string(), Layout::Other)
        }
        #[allow(clippy::cast_precision_loss, reason = "as in the double that the filter gets")]
        (_, Some(number)) => Value::Number(number as f64),
        (Dialect::Kubernetes, None) if is_decimal(&lower) => Value::Number(lower.parse().unwrap_or_default()),
        (Dialect::Envoy | Dialect::Kubernetes, None) => Value::Text(text, Layout::Inline(at)),
    }
}

/// A whole number: decimal, hexadecimal, or octal as in C; in Kubernetes also as in Go.
fn whole(text: &str, dialect: Dialect) -> Option<i64> {
    let without_marks = text.replace('_', "");
    let text = if dialect == Dialect::Kubernetes { &without_marks } else { text };
    let is_go = |digits: &str| dialect == Dialect::Kubernetes && digits.starts_with(['o', 'O']);
    let (sign, digits) =
        text.strip_prefix('-').map_or(("", text.strip_prefix('+').unwrap_or(text)), |rest| ("-", rest));
    let of = |digits: &str, radix| {
        let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        if is_number { i64::from_str_radix(&format!("{sign}{digits}"), radix).ok() } else { None }
    };
    match (digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")), digits.strip_prefix('0')) {
        (Some(digits), _) => of(digits, 16),
        (None, Some(octal)) if is_go(octal) => of(octal.trim_start_matches(['o', 'O']), 8),
        (None, Some(octal)) if !octal.is_empty() => of(octal, 8),
        (None, _) => of(digits, 10),
    }
}

fn is_decimal(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    rest.starts_with(|first: char| first.is_ascii_digit() || first == '.') && rest.parse::<f64>().is_ok()
}

/// Replaces `<<` by the members of the objects that it names, where they are not there.
fn merge(members: &mut Vec<Member>) {
    while let Some(place) = members.iter().position(|member| member.key == "<<") {
        let Node { value, .. } = members.remove(place).node;
        let objects = match value {
            Value::List(objects) => objects,
            value => vec![Node { at: Position::START, value }],
        };
        for object in objects {
            let Value::Object(merged) = object.value else { continue };
            for member in merged {
                if member.key != "<<" && !members.iter().any(|known| known.key == member.key) {
                    members.push(member);
                }
            }
        }
    }
}
