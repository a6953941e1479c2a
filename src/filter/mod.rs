//! The glue between Envoy and the core: it hands requests in, performs the one step that comes out, and decides
//! nothing itself.

mod exchange;
mod host;
mod report;
mod root;
mod stream;
mod worker;

/// In place of wasi-libc's `malloc`, which takes three times as many instructions.
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|context_id| Box::new(root::Root::new(context_id)));
}}
