use proptest::{collection::vec, prelude::*};
use prost::Message;

use super::*;

/// A message of every type, as prost reads and writes it.
#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
    #[prost(uint64, tag = "2")]
    number: u64,
    #[prost(string, tag = "3")]
    text: String,
    #[prost(double, tag = "4")]
    double: f64,
    #[prost(float, tag = "5")]
    float: f32,
}

#[derive(Clone, PartialEq, Message)]
struct PeerList {
    #[prost(bytes = "vec", repeated, tag = "1")]
    list: Vec<Vec<u8>>,
    #[prost(uint64, tag = "2")]
    number: u64,
}

fn peer_of(fields: [Field<'_>; 5]) -> Option<Peer> {
    let [bytes, number, text, double, float] = fields;
    Some(Peer {
        bytes: bytes.bytes()?.to_vec(),
        number: number.number()?,
        text: text.text()?.to_owned(),
        double: match double.0 {
            None => 0.0,
            Some(Value::Double(double)) => double,
            Some(_) => return None,
        },
        float: match float.0 {
            None => 0.0,
            Some(Value::Float(float)) => float,
            Some(_) => return None,
        },
    })
}

fn peer() -> impl Strategy<Value = Peer> {
    (vec(any::<u8>(), 0..300), any::<u64>(), ".*", any::<f64>(), any::<f32>())
        .prop_map(|(bytes, number, text, double, float)| Peer { bytes, number, text, double, float })
}

#[test]
fn numbers_of_every_length_round_trip() {
    for number in [0, 1, 0x7f, 0x80, u32::MAX.into(), 1 << 63, u64::MAX] {
        let bytes = write(&[Value::Number(number)]);
        let [field] = read(&bytes).unwrap();
        assert_eq!(field.number(), Some(number));
    }
}

#[test]
fn unknown_fields_are_skipped() {
    let all = [Value::Number(7), Value::Double(1.5), Value::Bytes(b"more"), Value::Float(2.5), Value::Number(1 << 40)];
    let bytes = write(&all);
    let [first] = read(&bytes).unwrap();
    assert_eq!(first.number(), Some(7));
    let [] = read(&bytes).unwrap();
}

#[test]
fn malformed_bytes_are_refused() {
    let cases: &[(&str, &[u8])] = &[
        ("a key alone", b"\x08"),
        ("a cut key", b"\x80"),
        ("a cut number", b"\x08\x80"),
        ("a number over 64 bits", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        ("a number without an end", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("a cut text", b"\x0a\x02a"),
        ("a length over all memory", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("a length over half of it", b"\x0a\xff\xff\xff\xff\x0f"),
        ("a cut double", b"\x09\0\0\0\0\0\0\0"),
        ("a cut float", b"\x0d\0\0\0"),
        ("the number 0", b"\x00\x01"),
        ("a key over 32 bits", b"\x88\x80\x80\x80\x80\x01\x01"),
        ("a group", b"\x0b\x0c"),
        ("the end of a group", b"\x0c"),
        ("type 6", b"\x0e\x01"),
        ("type 7", b"\x0f\x01"),
        ("a field twice", b"\x08\x01\x08\x02"),
    ];
    for (name, bytes) in cases {
        assert!(read::<1>(bytes).is_none(), "{name}");
    }
    for bytes in [b"\x08\x01".as_slice(), b"\x0a\x01a\x08\x01", b"\x0a\x02a"] {
        assert_eq!(read_list(bytes), None, "{bytes:?}");
    }
}

#[test]
fn a_field_read_as_another_type_is_none() {
    let bytes = write(&[Value::Number(1), Value::Bytes(b"\xff"), Value::Double(1.0), Value::Float(1.0)]);
    let [number, raw, double, float] = read(&bytes).unwrap();
    assert_eq!((number.bytes(), number.text()), (None, None));
    assert_eq!((raw.number(), raw.text()), (None, None));
    assert_eq!((double.number(), double.bytes(), float.number(), float.bytes()), (None, None, None, None));
}

proptest! {
    #[test]
    fn messages_written_by_prost_are_read(peer in peer()) {
        let bytes = peer.encode_to_vec();
        prop_assert_eq!(read(&bytes).and_then(peer_of), Some(peer));
    }

    #[test]
    fn messages_are_written_as_prost_writes_them(peer in peer(), bytes in vec(any::<u8>(), 0..9), number in 0..3_u64) {
        let peer = Peer { double: 1.0, float: 1.0, bytes, number, ..peer };
        let values = [
            Value::Bytes(&peer.bytes),
            Value::Number(peer.number),
            Value::Bytes(peer.text.as_bytes()),
            Value::Double(peer.double),
            Value::Float(peer.float),
        ];
        prop_assert_eq!(&*write(&values), &peer.encode_to_vec());
    }

    #[test]
    fn messages_are_read_as_prost_reads_them(bytes in vec(prop_oneof![0..48_u8, any::<u8>()], 0..40)) {
        if let Some(peer) = read(&bytes).and_then(peer_of) {
            prop_assert_eq!(Peer::decode(bytes.as_slice()).map(|peer| peer.encode_to_vec()), Ok(peer.encode_to_vec()));
        }
    }

    #[test]
    fn lists_are_read_as_prost_reads_them(list in vec(vec(any::<u8>(), 0..200), 0..5), number in any::<u64>()) {
        let bytes = PeerList { list: list.clone(), number }.encode_to_vec();
        prop_assert_eq!(read_list(&bytes), Some(list.iter().map(Vec::as_slice).collect()));
    }

    #[test]
    fn damaged_lists_are_read_as_prost_reads_them(bytes in vec(prop_oneof![0..48_u8, any::<u8>()], 0..40)) {
        if let Some(list) = read_list(&bytes) {
            // prost refuses a known field with another wire type.
            if let Ok(peer) = PeerList::decode(bytes.as_slice()) {
                prop_assert_eq!(list, peer.list.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
        }
    }
}
