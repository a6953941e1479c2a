;; What `need` does; and what a filter must do that has policies per route and can be watched: it reads the route's metadata
;; and counts the request.
(module
  (import "env" "proxy_get_header_map_pairs" (func $get_pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (memory (export "memory") 8)
  (data (i32.const 16) "x-forwarded-user")
  (data (i32.const 32) "x-forwarded-email")
  (data (i32.const 64) "alice@example.com")
  (data (i32.const 96) "floor_requests")
  ;; A path: a zero byte stands between its parts.
  (data (i32.const 128) "xds\00route_metadata\00filter_metadata\00vestibule")

  (func (export "proxy_abi_version_0_2_1"))

  ;; Each status but 0 (OK) ends the VM, and the request is answered with 503: what fails is never measured.
  (func $ok (param $status i32)
    (if (local.get $status) (then unreachable)))

  ;; A request's data starts at 4096 and is given up with the next request: it is read before the filter returns.
  (global $free (mut i32) (i32.const 4096))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $free)
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get $size)) (i32.const 7)) (i32.const -8))))

  (func (export "proxy_on_context_create") (param $context i32) (param $parent i32))
  (func (export "proxy_on_delete") (param $context i32))

  ;; A counter (0); its id to 1040.
  (func (export "proxy_on_vm_start") (param $context i32) (param $size i32) (result i32)
    (call $ok (call $define (i32.const 0) (i32.const 96) (i32.const 14) (i32.const 1040)))
    (i32.const 1))

  (func (export "proxy_on_request_headers") (param $context i32) (param $headers i32) (param $end i32) (result i32)
    (global.set $free (i32.const 4096))
    ;; All request headers (map 0): their address to 1024, their size to 1028.
    (call $ok (call $get_pairs (i32.const 0) (i32.const 1024) (i32.const 1028)))
    (call $ok (call $replace (i32.const 0) (i32.const 16) (i32.const 16) (i32.const 64) (i32.const 5)))
    (call $ok (call $replace (i32.const 0) (i32.const 32) (i32.const 17) (i32.const 64) (i32.const 17)))
    (call $ok (call $time (i32.const 1032)))
    (call $ok (call $property (i32.const 128) (i32.const 44) (i32.const 1044) (i32.const 1048)))
    (call $ok (call $increment (i32.load (i32.const 1040)) (i64.const 1)))
    (i32.const 0)))
