//! Protobuf's wire format, without the deprecated groups.
//!
//! A message is an array of values, the field with number 1 first. As in proto3, a number that is 0 and bytes that are
//! empty are left out. A field that comes twice, has another type than expected or is cut off makes the message malformed;
//! fields with higher numbers than expected are skipped.

use zeroize::Zeroizing;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Bytes, text or a message.
    Bytes(&'a [u8]),
    /// A double.
    Double(f64),
    /// A float.
    Float(f32),
    /// An unsigned integer or a boolean.
    Number(u64),
}

/// The value of a field, if it is there. The methods return `None` for a value of another type.
#[derive(Debug, Clone, Copy, Default)]
pub struct Field<'a>(pub Option<Value<'a>>);

impl<'a> Field<'a> {
    /// Bytes; empty where the field is absent.
    pub const fn bytes(self) -> Option<&'a [u8]> {
        match self.0 {
            None => Some(&[]),
            Some(Value::Bytes(bytes)) => Some(bytes),
            Some(_) => None,
        }
    }

    /// A number; 0 where the field is absent.
    pub const fn number(self) -> Option<u64> {
        match self.0 {
            None => Some(0),
            Some(Value::Number(number)) => Some(number),
            Some(_) => None,
        }
    }

    /// Text in UTF-8; empty where the field is absent.
    pub fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

/// The longest varint in bytes: 64 bits, seven in a byte.
const MAX_VARINT: usize = 10;

/// Writes a message. The buffer never grows, so that no secret stays behind in an old allocation.
pub fn write(values: &[Value<'_>]) -> Zeroizing<Vec<u8>> {
    let length = |value: &Value<'_>| if let Value::Bytes(bytes) = value { bytes.len() } else { 0 };
    let capacity = values.iter().map(|value| 2 * MAX_VARINT + length(value)).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(capacity));
    for (number, value) in (1..).zip(values) {
        match value {
            Value::Bytes([]) | Value::Number(0) => {}
            Value::Bytes(bytes) => {
                varint(number << 3 | LENGTH, &mut out);
                varint(bytes.len() as u64, &mut out);
                out.extend_from_slice(bytes);
            }
            Value::Double(double) => {
                varint(number << 3 | FIXED_64, &mut out);
                out.extend_from_slice(&double.to_le_bytes());
            }
            Value::Float(float) => {
                varint(number << 3 | FIXED_32, &mut out);
                out.extend_from_slice(&float.to_le_bytes());
            }
            Value::Number(value) => {
                varint(number << 3 | VARINT, &mut out);
                varint(*value, &mut out);
            }
        }
    }
    out
}

/// Writes a message whose repeated field 1 is this list.
pub fn write_list(list: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for bytes in list {
        varint(1 << 3 | LENGTH, &mut out);
        varint(bytes.len() as u64, &mut out);
        out.extend_from_slice(bytes);
    }
    out
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads the fields 1 to `N` of a message.
pub fn read<const N: usize>(bytes: &[u8]) -> Option<[Field<'_>; N]> {
    let mut fields = [Field::default(); N];
    read_into(bytes, &mut fields)?;
    Some(fields)
}

fn read_into<'a>(bytes: &'a [u8], fields: &mut [Field<'a>]) -> Option<()> {
    for_each_field(bytes, &mut |number, value| {
        let field = fields.get_mut(usize::try_from(number).ok()?.checked_sub(1)?);
        field.is_none_or(|field| field.0.replace(value).is_none()).then_some(())
    })
}

/// Reads the repeated field 1 of a message.
pub fn read_list(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut list = Vec::new();
    for_each_field(bytes, &mut |number, value| {
        if number == 1 {
            list.push(Field(Some(value)).bytes()?);
        }
        Some(())
    })?;
    Some(list)
}

/// Calls `take` with each field. `None` where the message is malformed, or `take` refuses a field.
fn for_each_field<'a>(mut rest: &'a [u8], take: &mut dyn FnMut(u64, Value<'a>) -> Option<()>) -> Option<()> {
    while !rest.is_empty() {
        let key = read_varint(&mut rest)?;
        let number = key >> 3;
        if number == 0 || key > u32::MAX.into() {
            return None;
        }
        let value = match key & 7 {
            VARINT => Value::Number(read_varint(&mut rest)?),
            FIXED_64 => Value::Double(f64::from_le_bytes(split(&mut rest, 8)?.try_into().ok()?)),
            LENGTH => {
                let length = read_varint(&mut rest)?;
                Value::Bytes(split(&mut rest, length)?)
            }
            FIXED_32 => Value::Float(f32::from_le_bytes(split(&mut rest, 4)?.try_into().ok()?)),
            // Groups (3 and 4), and two unassigned types.
            _ => return None,
        };
        take(number, value)?;
    }
    Some(())
}

fn split<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(taken)
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..MAX_VARINT {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        // Bits beyond 64 would be lost.
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * place);
        if shifted >> (7 * place) != bits {
            return None;
        }
        value |= shifted;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
