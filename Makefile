TARGET := wasm32-wasip1
RELEASE := $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/release
MODULE := $(RELEASE)/vestibule.wasm
SMALLER := $(RELEASE)/vestibule.opt.wasm
WASM_OPT := .wasm-opt/node_modules/binaryen/bin/wasm-opt
# What rustc uses for this target, and so what Envoy has to take anyway.
FEATURES := bulk-memory bulk-memory-opt extended-const multivalue mutable-globals nontrapping-float-to-int reference-types sign-ext

.PHONY: help build test unit e2e lint check demo size bench toolchain

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: toolchain ## the filter: target/wasm32-wasip1/release/vestibule.wasm
	cargo build --release --target $(TARGET) -p vestibule
	@$(MAKE) --no-print-directory $(SMALLER)
	ln -f $(SMALLER) $(MODULE)

# Beside cargo's own output, not over it: cargo would take that for the compiler's.
$(SMALLER): $(RELEASE)/deps/vestibule.wasm $(WASM_OPT)
	node $(WASM_OPT) -Os $(FEATURES:%=--enable-%) $< -o $@

$(WASM_OPT): .wasm-opt/package-lock.json
	@command -v npm >/dev/null || { echo "make build needs node with npm, for wasm-opt (cargo alone builds a module a fifth larger)" >&2; exit 1; }
	npm ci --no-audit --no-fund --loglevel=error --prefix .wasm-opt
	@touch $@

# The module as it ships; without this the tests build one with cargo alone.
test e2e: export VESTIBULE_WASM = $(abspath $(MODULE))

test: build ## everything: the core natively, then the filter in the real Envoy with a real provider and a browser
	cargo test --workspace

unit: ## the core alone, natively, in seconds
	cargo test -p vestibule

e2e: build ## the filter in the real Envoy
	cargo test -p wasm-tests

lint: toolchain ## formatting and clippy, natively and for wasm
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --target $(TARGET) -p vestibule -- -D warnings

check: lint test size ## what has to pass before a change goes in

demo: toolchain ## a real app behind the filter, to sign in with a browser
	@cargo run --quiet -p wasm-tests --bin demo

size: build ## fails if the module is larger than 700 KB
	test $$(wc -c < $(MODULE)) -le 700000

bench: build ## what the filter costs: CPU per request beside Envoy alone and Envoy's own oauth2 filter
	cargo run --release --quiet -p wasm-tests --bin bench

toolchain:
	@rustup target list --installed | grep -qx $(TARGET) || rustup target add $(TARGET)
