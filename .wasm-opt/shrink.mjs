// Makes the compiled module smaller, and quicker for Envoy to call: node shrink.mjs IN OUT
//
// The SDK exports a handler for everything a proxy may tell a filter. The host calls each one that is there, at about
// half a microsecond a request, and so does nothing for one that is not: only those that the filter answers stay.
import { readFileSync, writeFileSync } from 'node:fs';
import binaryen from 'binaryen';

const ANSWERED = new Set([
  'memory', '_initialize', 'proxy_abi_version_0_2_1', 'proxy_on_memory_allocate', 'proxy_on_vm_start',
  'proxy_on_configure', 'proxy_on_tick', 'proxy_on_context_create', 'proxy_on_request_headers',
  'proxy_on_request_body', 'proxy_on_request_trailers', 'proxy_on_response_headers', 'proxy_on_http_call_response',
  'proxy_on_delete',
]);
// The SDK has a method for every host call, and a table of all methods keeps them. The filter makes none of these: it
// would trap.
const UNCALLED = new Set([
  'proxy_close_stream', 'proxy_dequeue_shared_queue', 'proxy_done', 'proxy_enqueue_shared_queue',
  'proxy_get_status', 'proxy_grpc_call', 'proxy_grpc_cancel', 'proxy_grpc_close', 'proxy_grpc_send', 'proxy_grpc_stream',
  'proxy_register_shared_queue', 'proxy_resolve_shared_queue', 'proxy_set_buffer_bytes', 'proxy_set_header_map_pairs',
]);

const [from, to] = process.argv.slice(2);
const module = binaryen.readBinary(readFileSync(from));
// What rustc uses for this target, and so what Envoy has to take anyway.
const { BulkMemory, BulkMemoryOpt, ExtendedConst, Multivalue, MutableGlobals, NontrappingFPToInt, ReferenceTypes, SIMD128, SignExt } =
  binaryen.Features;
module.setFeatures(BulkMemory | BulkMemoryOpt | ExtendedConst | Multivalue | MutableGlobals | NontrappingFPToInt
  | ReferenceTypes | SIMD128 | SignExt);
const names = Array.from({ length: module.getNumExports() }, (_, index) =>
  binaryen.getExportInfo(module.getExportByIndex(index)).name);
for (const name of ANSWERED) {
  if (!names.includes(name)) throw new Error(`${from} does not export ${name}`);
}
names.filter((name) => !ANSWERED.has(name)).forEach((name) => module.removeExport(name));
Array.from({ length: module.getNumFunctions() }, (_, index) => binaryen.getFunctionInfo(module.getFunctionByIndex(index)))
  .filter(({ module: host, base }) => host === 'env' && UNCALLED.has(base))
  .forEach(({ name, params, results }) => {
    module.removeFunction(name);
    module.addFunction(name, params, results, [], module.unreachable());
  });
// -Oz. The first KiB of memory is the far end of the stack, where no address in use begins: a constant that is added to
// an address may always move into the load or store.
binaryen.setOptimizeLevel(2);
binaryen.setShrinkLevel(2);
binaryen.setGenerateStackIR(true);
binaryen.setOptimizeStackIR(true);
binaryen.setLowMemoryUnused(true);
// A function of more bytes stays one, even if it is called once. Without a limit they end up in a few huge ones, which Envoy
// takes a quarter longer to compile; 0 is no better.
binaryen.setOneCallerInlineMaxSize(200);
module.optimize();
// What the first round has inlined can be simplified once more.
module.optimize();
// A constant that a function names often is shorter as a local; Envoy's compiler makes the same code of both.
module.runPasses(['const-hoisting']);
// What is called most gets the shortest number.
module.runPasses(['reorder-functions']);
if (!module.validate()) throw new Error(`${from} did not survive`);
writeFileSync(to, module.emitBinary());
