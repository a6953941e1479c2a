//! A host of the proxy-wasm ABI 0.2.1 that answers as Envoy 1.40 does, as far as the filter calls it, and counts the calls.
//! Signatures are not checked: in Envoy that is native code, which costs no instruction of the module.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use wasmi::{AsContextMut, Caller, Error, Extern, Linker, Memory};

use wasm_tests::{
    http1::{Headers, Response},
    user_agent::Outgoing,
};

/// `proxy_status_t`
const OK: i32 = 0;
const NOT_FOUND: i32 = 1;
const BAD_ARGUMENT: i32 = 2;
const CAS_MISMATCH: i32 = 8;

/// The host. Its clock stands still between two calls of [`Host::set_clock`].
#[derive(Default)]
pub struct Host {
    /// The number of calls by name, and of callbacks, which begin with `on `.
    pub counts: BTreeMap<String, u64>,
    /// Unix time, in nanoseconds.
    now: u64,
    /// The configuration of the plugin.
    pub configuration: Vec<u8>,
    /// The properties by their paths.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The addresses of the clusters.
    pub clusters: BTreeMap<String, SocketAddr>,
    /// The request that the filter decides.
    pub exchange: Exchange,
    /// Calls that the module has made and that are not answered.
    pub calls: Vec<Call>,
    /// The answer to the call whose callback runs.
    pub answer: Response,
    /// The log, at warning or above.
    pub complaints: Vec<String>,
    shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    metrics: Vec<String>,
    effective: u32,
    random: u64,
    last_call: u32,
    last_version: u32,
}

/// The request that the filter decides.
#[derive(Default)]
pub struct Exchange {
    pub request: Vec<(Vec<u8>, Vec<u8>)>,
    pub response: Vec<(Vec<u8>, Vec<u8>)>,
    /// The local reply.
    pub reply: Option<Response>,
    pub is_resumed: bool,
}

/// A call to a cluster.
pub struct Call {
    pub id: u32,
    pub context_id: u32,
    pub cluster: String,
    pub request: Outgoing,
}

impl Host {
    pub fn count(&mut self, name: &str) {
        match self.counts.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(name.to_owned(), 1);
            }
        }
    }

    /// Sets the clock to that of the machine.
    pub fn set_clock(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        self.now = now.as_secs() * 1_000_000_000;
    }

    /// Acts for this context, as each callback begins.
    pub const fn enter(&mut self, context_id: u32) {
        self.effective = context_id;
    }

    const fn map(&mut self, which: i32) -> Option<&mut Vec<(Vec<u8>, Vec<u8>)>> {
        match which {
            0 => Some(&mut self.exchange.request),
            2 => Some(&mut self.exchange.response),
            _ => None,
        }
    }

    fn value(&self, which: i32, name: &[u8]) -> Option<Vec<u8>> {
        let find =
            |map: &[(Vec<u8>, Vec<u8>)]| map.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        match which {
            0 => find(&self.exchange.request),
            2 => find(&self.exchange.response),
            // The header map of a call's answer.
            6 if name == b":status" => Some(self.answer.status.to_string().into_bytes()),
            6 => self.answer.headers.all(std::str::from_utf8(name).ok()?).first().map(|value| value.to_vec()),
            _ => None,
        }
    }

    /// xorshift64: the same bytes in each run.
    fn random(&mut self) -> u8 {
        let mut state = self.random | 1;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random = state;
        (state >> 32) as u8
    }
}

type Cx<'a> = Caller<'a, Host>;
type Result<T> = std::result::Result<T, Error>;

fn memory(cx: &mut Cx<'_>) -> Memory {
    cx.get_export("memory").and_then(Extern::into_memory).expect("the module exports its memory")
}

fn read(cx: &mut Cx<'_>, pointer: i32, length: i32) -> Vec<u8> {
    let memory = memory(cx);
    memory.data(&*cx)[pointer as usize..][..length as usize].to_vec()
}

fn write(cx: &mut Cx<'_>, pointer: i32, bytes: &[u8]) {
    let memory = memory(cx);
    memory.write(cx, pointer as usize, bytes).expect("inside the module's memory");
}

fn write_u32(cx: &mut Cx<'_>, pointer: i32, number: usize) {
    write(cx, pointer, &u32::try_from(number).expect("32 bits").to_le_bytes());
}

/// Hands bytes over in memory that the module allocates.
fn hand_over(cx: &mut Cx<'_>, bytes: &[u8], data: i32, size: i32) -> Result<i32> {
    let mut pointer = 0;
    if !bytes.is_empty() {
        cx.data_mut().count("on memory_allocate");
        let allocate = cx.get_export("proxy_on_memory_allocate").and_then(Extern::into_func).expect("the ABI");
        pointer = allocate.typed::<i32, i32>(&*cx)?.call(cx.as_context_mut(), bytes.len() as i32)?;
        write(cx, pointer, bytes);
    }
    write_u32(cx, data, pointer as usize);
    write_u32(cx, size, bytes.len());
    Ok(OK)
}

/// The ABI's form of a header map: count, the lengths of each pair, then each name and value with a NUL behind.
fn serialize(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).expect("32 bits").to_le_bytes();
    let mut bytes = number(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend(number(name.len()));
        bytes.extend(number(value.len()));
    }
    for (name, value) in pairs {
        for part in [name, value] {
            bytes.extend(part);
            bytes.push(0);
        }
    }
    bytes
}

fn deserialize(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    if bytes.is_empty() {
        return Vec::new();
    }
    let count = number(0);
    let mut at = 4 + 8 * count;
    let mut part = |length: usize| {
        let part = bytes[at..at + length].to_vec();
        at += length + 1;
        part
    };
    (0..count).map(|pair| (part(number(4 + 8 * pair)), part(number(8 + 8 * pair)))).collect()
}

fn headers(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Headers {
    Headers(pairs.into_iter().map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), value)).collect())
}

/// Links the functions that the module imports.
pub fn link(linker: &mut Linker<Host>) -> Result<()> {
    header_maps(linker)?;
    shared_data_and_properties(linker)?;
    calls(linker)?;
    metrics_and_time(linker)?;
    wasi(linker)
}

fn header_maps(linker: &mut Linker<Host>) -> Result<()> {
    const ENV: &str = "env";
    linker.func_wrap(ENV, "proxy_get_header_map_pairs", |mut cx: Cx<'_>, map: i32, data: i32, size: i32| {
        cx.data_mut().count("get_header_map_pairs");
        let bytes = serialize(cx.data_mut().map(map).map_or(&[], |map| map.as_slice()));
        hand_over(&mut cx, &bytes, data, size)
    })?;
    linker.func_wrap(
        ENV,
        "proxy_get_header_map_value",
        |mut cx: Cx<'_>, map: i32, key: i32, key_size: i32, data: i32, size: i32| {
            cx.data_mut().count("get_header_map_value");
            let name = read(&mut cx, key, key_size);
            match cx.data().value(map, &name) {
                Some(value) => hand_over(&mut cx, &value, data, size),
                None => Ok(NOT_FOUND),
            }
        },
    )?;
    linker.func_wrap(ENV, "proxy_remove_header_map_value", |mut cx: Cx<'_>, map: i32, key: i32, key_size: i32| {
        cx.data_mut().count("remove_header_map_value");
        let name = read(&mut cx, key, key_size);
        cx.data_mut().map(map).map_or(BAD_ARGUMENT, |map| {
            map.retain(|(known, _)| *known != name);
            OK
        })
    })?;
    type Edit = fn(&mut Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>, Vec<u8>);
    let edits: [(&str, Edit); 2] = [
        ("replace_header_map_value", |map, name, value| {
            map.retain(|(known, _)| *known != name);
            map.push((name, value));
        }),
        ("add_header_map_value", |map, name, value| map.push((name, value))),
    ];
    for (call, edit) in edits {
        linker.func_wrap(
            ENV,
            &format!("proxy_{call}"),
            move |mut cx: Cx<'_>, map: i32, key: i32, key_size: i32, value: i32, value_size: i32| {
                cx.data_mut().count(call);
                let (name, value) = (read(&mut cx, key, key_size), read(&mut cx, value, value_size));
                cx.data_mut().map(map).map_or(BAD_ARGUMENT, |map| {
                    edit(map, name, value);
                    OK
                })
            },
        )?;
    }
    Ok(())
}

fn shared_data_and_properties(linker: &mut Linker<Host>) -> Result<()> {
    const ENV: &str = "env";
    linker.func_wrap(
        ENV,
        "proxy_get_shared_data",
        |mut cx: Cx<'_>, key: i32, key_size: i32, data: i32, size: i32, version: i32| {
            cx.data_mut().count("get_shared_data");
            let key = read(&mut cx, key, key_size);
            let Some((bytes, cas)) = cx.data().shared.get(&key).cloned() else { return Ok(NOT_FOUND) };
            write_u32(&mut cx, version, cas as usize);
            hand_over(&mut cx, &bytes, data, size)
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_set_shared_data",
        |mut cx: Cx<'_>, key: i32, key_size: i32, value: i32, value_size: i32, version: i32| {
            cx.data_mut().count("set_shared_data");
            let (key, value) = (read(&mut cx, key, key_size), read(&mut cx, value, value_size));
            let host = cx.data_mut();
            let present = host.shared.get(&key).map(|(_, version)| *version);
            if version != 0 && present.is_some_and(|present| present != version as u32) {
                return CAS_MISMATCH;
            }
            host.last_version += 1;
            host.shared.insert(key, (value, host.last_version));
            OK
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_get_property",
        |mut cx: Cx<'_>, path: i32, path_size: i32, data: i32, size: i32| {
            cx.data_mut().count("get_property");
            let path = read(&mut cx, path, path_size);
            match cx.data().properties.get(&path).cloned() {
                Some(value) => hand_over(&mut cx, &value, data, size),
                None => Ok(NOT_FOUND),
            }
        },
    )?;
    linker.func_wrap(ENV, "proxy_set_property", |mut cx: Cx<'_>, _: i32, _: i32, _: i32, _: i32| {
        cx.data_mut().count("set_property");
        OK
    })?;
    linker.func_wrap(
        ENV,
        "proxy_call_foreign_function",
        |mut cx: Cx<'_>, name: i32, name_size: i32, arguments: i32, arguments_size: i32, data: i32, size: i32| {
            let name = String::from_utf8(read(&mut cx, name, name_size)).expect("a name in ASCII");
            cx.data_mut().count(&format!("call_foreign_function {name}"));
            let arguments = read(&mut cx, arguments, arguments_size);
            let result = match name.as_str() {
                "compress" => miniz_oxide::deflate::compress_to_vec_zlib(&arguments, 9),
                "uncompress" => match miniz_oxide::inflate::decompress_to_vec_zlib(&arguments) {
                    Ok(bytes) => bytes,
                    Err(_) => return Ok(BAD_ARGUMENT),
                },
                // `VerifySignatureResult` with `result: true`.
                "verify_signature" => vec![0x08, 0x01],
                "declare_property" => Vec::new(),
                _ => return Ok(NOT_FOUND),
            };
            hand_over(&mut cx, &result, data, size)
        },
    )?;
    Ok(())
}

fn calls(linker: &mut Linker<Host>) -> Result<()> {
    const ENV: &str = "env";
    linker.func_wrap(
        ENV,
        "proxy_http_call",
        |mut cx: Cx<'_>,
         cluster: i32,
         cluster_size: i32,
         pairs: i32,
         pairs_size: i32,
         body: i32,
         body_size: i32,
         _trailers: i32,
         _trailers_size: i32,
         _timeout: i32,
         id: i32| {
            cx.data_mut().count("http_call");
            let cluster = String::from_utf8(read(&mut cx, cluster, cluster_size)).expect("a name in ASCII");
            if !cx.data().clusters.contains_key(&cluster) {
                return BAD_ARGUMENT;
            }
            let headers = headers(deserialize(&read(&mut cx, pairs, pairs_size)));
            let pseudo = |name: &str| headers.text(name).unwrap_or_default();
            let request = Outgoing::new(&pseudo(":method"), pseudo(":path")).header("host", pseudo(":authority"));
            let others = headers.0.iter().filter(|(name, _)| !name.starts_with(':'));
            let request = others.fold(request, |request, (name, value)| request.header(name, value));
            let request = request.body(read(&mut cx, body, body_size));
            let host = cx.data_mut();
            host.last_call += 1;
            host.calls.push(Call { id: host.last_call, context_id: host.effective, cluster, request });
            let number = host.last_call;
            write_u32(&mut cx, id, number as usize);
            OK
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_get_buffer_bytes",
        |mut cx: Cx<'_>, buffer: i32, start: i32, length: i32, data: i32, size: i32| {
            cx.data_mut().count("get_buffer_bytes");
            let bytes = match buffer {
                // The body of a call's answer, and the plugin's configuration.
                4 => cx.data().answer.body.clone(),
                7 => cx.data().configuration.clone(),
                _ => return Ok(NOT_FOUND),
            };
            let end = bytes.len().min((start as usize).saturating_add(length as usize));
            hand_over(&mut cx, &bytes[start as usize..end], data, size)
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_send_local_response",
        |mut cx: Cx<'_>,
         status: i32,
         _details: i32,
         _details_size: i32,
         body: i32,
         body_size: i32,
         pairs: i32,
         pairs_size: i32,
         _grpc: i32| {
            cx.data_mut().count("send_local_response");
            let headers = headers(deserialize(&read(&mut cx, pairs, pairs_size)));
            let body = read(&mut cx, body, body_size);
            cx.data_mut().exchange.reply = Some(Response { status: status as u16, headers, body });
            OK
        },
    )?;
    linker.func_wrap(ENV, "proxy_continue_stream", |mut cx: Cx<'_>, _stream: i32| {
        cx.data_mut().count("continue_stream");
        cx.data_mut().exchange.is_resumed = true;
        OK
    })?;
    linker.func_wrap(ENV, "proxy_set_effective_context", |mut cx: Cx<'_>, context_id: i32| {
        cx.data_mut().count("set_effective_context");
        cx.data_mut().effective = context_id as u32;
        OK
    })?;
    Ok(())
}

fn metrics_and_time(linker: &mut Linker<Host>) -> Result<()> {
    const ENV: &str = "env";
    linker.func_wrap(
        ENV,
        "proxy_define_metric",
        |mut cx: Cx<'_>, _kind: i32, name: i32, name_size: i32, id: i32| {
            cx.data_mut().count("define_metric");
            let name = String::from_utf8(read(&mut cx, name, name_size)).expect("a name in ASCII");
            cx.data_mut().metrics.push(name);
            let number = cx.data().metrics.len();
            write_u32(&mut cx, id, number);
            OK
        },
    )?;
    for call in ["increment_metric", "record_metric"] {
        linker.func_wrap(ENV, &format!("proxy_{call}"), move |mut cx: Cx<'_>, _id: i32, _value: i64| {
            cx.data_mut().count(call);
            OK
        })?;
    }
    linker.func_wrap(ENV, "proxy_log", |mut cx: Cx<'_>, level: i32, text: i32, size: i32| {
        /// `LogLevel::Warn`
        const WARN: i32 = 3;
        cx.data_mut().count("log");
        if level >= WARN {
            let line = String::from_utf8_lossy(&read(&mut cx, text, size)).into_owned();
            cx.data_mut().complaints.push(line);
        }
        OK
    })?;
    linker.func_wrap(ENV, "proxy_set_tick_period_milliseconds", |mut cx: Cx<'_>, _milliseconds: i32| {
        cx.data_mut().count("set_tick_period");
        OK
    })?;
    linker.func_wrap(ENV, "proxy_get_current_time_nanoseconds", |mut cx: Cx<'_>, time: i32| {
        cx.data_mut().count("get_current_time");
        let now = cx.data().now.to_le_bytes();
        write(&mut cx, time, &now);
        OK
    })?;
    Ok(())
}

fn wasi(linker: &mut Linker<Host>) -> Result<()> {
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(WASI, "random_get", |mut cx: Cx<'_>, data: i32, size: i32| {
        cx.data_mut().count("random_get");
        let bytes: Vec<u8> = (0..size).map(|_| cx.data_mut().random()).collect();
        write(&mut cx, data, &bytes);
        OK
    })?;
    // No environment.
    linker.func_wrap(WASI, "environ_sizes_get", |mut cx: Cx<'_>, count: i32, size: i32| {
        write_u32(&mut cx, count, 0);
        write_u32(&mut cx, size, 0);
        OK
    })?;
    linker.func_wrap(WASI, "environ_get", |_environment: i32, _bytes: i32| OK)?;
    // The panic message, before `proc_exit` or a trap.
    linker.func_wrap(WASI, "fd_write", |mut cx: Cx<'_>, _file: i32, slices: i32, count: i32, written: i32| {
        let mut total = 0;
        for slice in 0..count {
            let head = read(&mut cx, slices + 8 * slice, 8);
            let number = |at: usize| i32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
            let bytes = read(&mut cx, number(0), number(4));
            eprint!("{}", String::from_utf8_lossy(&bytes));
            total += bytes.len();
        }
        write_u32(&mut cx, written, total);
        OK
    })?;
    linker.func_wrap(WASI, "proc_exit", |code: i32| -> Result<()> { Err(Error::i32_exit(code)) })?;
    Ok(())
}
