//! Reads JSON with the place of each value.

use crate::tree::{Layout, MAX_DEPTH, Member, Node, Position, SyntaxError, Value};

/// Reads one JSON document.
pub(crate) fn read(text: &str) -> Result<Node, SyntaxError> {
    // The reader below relies on it, and has no messages of its own.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or_default().to_owned();
        let at = Position { line: error.line().max(1), column: error.column().max(1) };
        return Err(SyntaxError { at, reason });
    }
    let mut reader = Reader { text, index: 0, at: Position::START };
    reader.value(MAX_DEPTH).ok_or(SyntaxError { at: reader.at, reason: "nested too deeply".to_owned() })
}

/// Walks over valid JSON.
struct Reader<'a> {
    text: &'a str,
    index: usize,
    at: Position,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.index..)?.chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.index = self.index.saturating_add(letter.len_utf8());
        self.at = match letter {
            '\n' => Position { line: self.at.line.saturating_add(1), column: 1 },
            _ => Position { column: self.at.column.saturating_add(1), ..self.at },
        };
        Some(letter)
    }

    fn advance_while(&mut self, is_part: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&is_part) {
            self.advance();
        }
    }

    fn skip_space(&mut self) {
        self.advance_while(|letter| matches!(letter, ' ' | '\n' | '\r' | '\t'));
    }

    fn slice(&self, start: usize) -> &'a str {
        self.text.get(start..self.index).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        let depth = depth.checked_sub(1)?;
        self.skip_space();
        let at = self.at;
        let value = match self.peek()? {
            '{' => self.object(depth)?,
            '[' => self.list(depth)?,
            '"' => {
                let text = self.text()?;
                Value::Text(text, Layout::Other)
            }
            _ => {
                let start = self.index;
                self.advance_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'));
                match self.slice(start) {
                    "null" => Value::Null,
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    number => Value::Number(number.parse().unwrap_or(f64::NAN)),
                }
            }
        };
        Some(Node { at, value })
    }

    fn text(&mut self) -> Option<String> {
        let start = self.index;
        self.advance();
        while let Some(letter) = self.advance() {
            match letter {
                '\\' => drop(self.advance()),
                '"' => break,
                _ => {}
            }
        }
        serde_json::from_str(self.slice(start)).ok()
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut elements = Vec::new();
        self.advance();
        self.skip_space();
        while self.peek()? != ']' {
            elements.push(self.value(depth)?);
            self.advance_while(is_between);
        }
        self.advance();
        Some(Value::List(elements))
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut members = Vec::new();
        self.advance();
        self.skip_space();
        while self.peek()? != '}' {
            let at = self.at;
            let key = self.text()?;
            self.advance_while(is_between);
            members.push(Member { key, at, is_ignored: false, node: self.value(depth)? });
            self.advance_while(is_between);
        }
        self.advance();
        Some(Value::Object(members))
    }
}

const fn is_between(letter: char) -> bool {
    matches!(letter, ' ' | '\n' | '\r' | '\t' | ',' | ':')
}
