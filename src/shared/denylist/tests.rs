use super::*;

fn entry(number: u8) -> Entry {
    Entry {
        digest: [number; 16],
        owner: (number.is_multiple_of(2)).then_some([0xee; 16]),
        at: UnixTime::from_secs(0x0102_0304),
        number: number.into(),
        forget_at: UnixTime::from_secs(0x0506_0708),
    }
}

/// The bytes of the first release: while it is replaced, its workers use the same lists.
#[test]
fn the_denylist_layout_is_that_of_the_first_release() {
    let entries = Entries { last: 9, list: vec![entry(1), entry(2)] };
    let moments =
        |number: u8| [[4, 3, 2, 1, 0, 0, 0, 0], [number, 0, 0, 0, 0, 0, 0, 0], [8, 7, 6, 5, 0, 0, 0, 0]].concat();
    let bytes =
        [vec![9, 0, 0, 0, 0, 0, 0, 0], vec![1; 16], vec![0; 16], moments(1), vec![2; 16], vec![0xee; 16], moments(2)]
            .concat();
    assert_eq!(entries.write(2), bytes);
    let read = Entries::read(&bytes);
    assert_eq!((read.last, read.list), (9, vec![entry(1), entry(2)]));
}

#[test]
fn a_truncated_denylist_keeps_its_complete_entries() {
    let bytes = Entries { last: 9, list: vec![entry(1), entry(2)] }.write(2);
    for end in 0..bytes.len() {
        let expected = end.saturating_sub(8) / ENTRY;
        assert_eq!(Entries::read(&bytes[..end]).list.len(), expected, "cut to {end}");
    }
}

#[test]
fn the_latest_entries_of_a_list_that_is_too_long_are_read() {
    let long = Entries { last: 0, list: (0..=MAX_ENTRIES).map(|_| entry(1)).chain([entry(2)]).collect() };
    let read = Entries::read(&long.write(usize::MAX)).list;
    assert_eq!((read.len(), read.last()), (MAX_ENTRIES, Some(&entry(2))));
}
