//! A header map as the proxy-wasm ABI lays it out.

use vestibule::http::Request;

pub(crate) fn run(bytes: &[u8]) {
    let Some(request) = Request::from_pairs(bytes.to_vec()) else { return };
    let headers: Vec<_> = request.headers().collect();
    // No header is made up, and none is read twice.
    assert!(headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>() <= bytes.len());
    let count = bytes.first_chunk::<4>().map(|count| u32::from_le_bytes(*count));
    assert_eq!(count.map(|count| count as usize), Some(headers.len()));
    // The host ends each name and value with a NUL: headers that are written so are read back the same.
    if let Some(written) = write(&headers).strip_suffix(&[0])
        && bytes.len() >= written.len()
    {
        let again = Request::from_pairs(write(&headers)).expect("what was read can be written and read");
        assert!(again.headers().eq(request.headers()));
    }
    for (name, _) in &headers {
        let lines: Vec<_> = request.lines(name).collect();
        assert_eq!(request.single(name), if let [line] = lines[..] { Some(line) } else { None });
        assert!(request.has(name) && request.names_like(name).contains(name));
    }
}

fn write(headers: &[(&str, &[u8])]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).expect("it was read from 32 bits").to_le_bytes();
    let mut bytes = number(headers.len()).to_vec();
    for (name, value) in headers {
        bytes.extend([number(name.len()), number(value.len())].as_flattened());
    }
    for part in headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}
