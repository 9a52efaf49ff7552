# `make run` and `make test` do all of their own set-up on a fresh machine with rustup (or a Rust of the version in
# rust-toolchain.toml) and a C compiler.

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c

TARGET := wasm32-wasip2
# A crate has the name of its folder.
PLUGINS := $(notdir $(wildcard plugins/*))
GUESTS := guest-probe guest-version-a guest-version-b guest-hostile guest-calls guest-flood guest-words
OUT := target/plugins
WASM := target/$(TARGET)/plugin

# What `make fuzz` runs, and for how long each.
FUZZ ?= $(notdir $(wildcard fuzz/corpora/*))
FUZZ_SECONDS ?= 600

.PHONY: run dist test plugins guests target check soak fuzz bench bench-parts bench-compare help packages

help:
	@echo 'make run      build everything and serve config/gateway.toml'
	@echo 'make plugins  build the plugins; a gateway that runs takes the new ones at once'
	@echo 'make test     every check and test'
	@echo 'make soak     what is too long for every test run: a thousand swaps, a thousand rounds of each hostile plugin'
	@echo 'make fuzz     every fuzz target for FUZZ_SECONDS=600; FUZZ="normalise config" for some of them'
	@echo 'make dist     target/dist/gateway, the binary to deploy: optimised as a whole, with a profile; a quarter of an hour'
	@echo 'make bench    this gateway beside nginx, HAProxy and Envoy (benches/README.md), a quarter of an hour'
	@echo 'make bench-compare  what of it got worse since the last committed result'
	@echo 'make bench-parts  nanoseconds per plugin call, host call, look-up'

# ---- the quickstart
run: plugins
	cargo build --release --package gateway
	@echo
	@echo 'Try:'
	@echo '  curl -i http://127.0.0.1:8080/products/1                       # 401: no key'
	@echo '  curl -i -H "x-api-key: demo" http://127.0.0.1:8080/products/1  # 200 from the products service'
	@echo '  curl -i -H "x-api-key: demo" http://127.0.0.1:8080/shop/1      # three services, one JSON'
	@echo '  for i in 1 2 3 4 5 6; do curl -so /dev/null -w "%{http_code}\n" -H "x-api-key: demo" http://127.0.0.1:8080/limited; done'
	@echo '  curl http://127.0.0.1:9901/metrics                             # what it counted'
	@echo 'Change a file under plugins/, run `make plugins` in another terminal, and send the next request.'
	@echo
	./target/release/gateway run --config config/gateway.toml --watch

# What is deployed, and what `make bench` measures.
dist: plugins
	benches/training/dist.sh

target:
	@ls $$(rustc --print sysroot)/lib/rustlib/$(TARGET)/lib/libstd-*.rlib >/dev/null 2>&1 \
		|| rustup target add $(TARGET) \
		|| { echo '$(TARGET) is missing: install its std for the Rust of rust-toolchain.toml' >&2; exit 1; }

# A plugin is moved into its place whole: the gateway never reads half of one.
define install
	@mkdir -p $(OUT)
	@for name in $(subst -,_,$(1)); do \
		cmp -s $(WASM)/$$name.wasm $(OUT)/$$name.wasm && continue; \
		cp $(WASM)/$$name.wasm $(OUT)/.$$name.new && mv $(OUT)/.$$name.new $(OUT)/$$name.wasm && echo "installed $(OUT)/$$name.wasm"; \
	done
endef

plugins: target
	cargo build --profile plugin --target $(TARGET) $(addprefix --package ,$(PLUGINS))
	$(call install,$(PLUGINS))

guests: target
	cargo build --profile plugin --target $(TARGET) $(addprefix --package ,$(GUESTS))
	$(call install,$(GUESTS))

# ---- proof
check:
	@# Workspaces of their own, which no other target builds: their locks follow what they take from here.
	@for other in benches/peers fuzz; do cargo metadata --locked --format-version 1 --manifest-path $$other/Cargo.toml >/dev/null || exit 1; done
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings

# What tests need beside Rust: valgrind, which counts instructions; nginx and HAProxy, beside which the gateway is set;
# grpcio, whose client and server call through it; dnsmasq, a name server; openssl, which makes old certificates.
packages:
	@PATH=$$PATH:/usr/sbin; missing=; \
	command -v valgrind >/dev/null || missing="$$missing valgrind"; \
	command -v nginx >/dev/null || missing="$$missing nginx-light"; \
	command -v haproxy >/dev/null || missing="$$missing haproxy"; \
	command -v dnsmasq >/dev/null || missing="$$missing dnsmasq-base"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	[ -z "$$missing" ] || { \
		root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$root apt-get update -qq && $$root apt-get install -y -qq $$missing; }
	@[ -d target/python/grpc ] || { \
		python3 -m pip --version >/dev/null 2>&1 || { \
			root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
			$$root apt-get update -qq && $$root apt-get install -y -qq python3-pip; }; \
		python3 -m pip install --quiet --target target/python 'grpcio>=1.60'; }

test: packages plugins guests check
	# One at a time: each end-to-end test is a whole gateway under load, and there may be two cores.
	RUST_TEST_THREADS=1 cargo test --release --workspace 2>&1 | tee target/test.log
	RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps
	@awk '/^test result/ { passed += $$4; failed += $$6 } END { printf "%d passed, %d failed\n", passed, failed }' target/test.log

# The tests that are marked `soak`. Each ends by itself; one that hangs is ended after an hour and a half.
soak: guests
	cargo test --release --package gateway --test gateway --no-run
	RUST_TEST_THREADS=1 timeout 90m cargo test --release --package gateway --test gateway -- --ignored soak

# Every input that breaks a property lands in fuzz/artifacts; fuzz/corpora is what `make test` replays. cargo-fuzz wants
# flags of a nightly compiler, which the stable one takes with RUSTC_BOOTSTRAP. The address sanitizer and mimalloc exclude
# each other, and hardly any code is unsafe.
fuzz: export RUSTC_BOOTSTRAP = 1
fuzz:
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	cargo fuzz build --target-dir fuzz/target --sanitizer none
	@for target in $(FUZZ); do \
		echo "== $$target, $(FUZZ_SECONDS) s"; \
		mkdir -p fuzz/corpus/$$target; \
		cargo fuzz run --target-dir fuzz/target --sanitizer none $$target fuzz/corpus/$$target fuzz/corpora/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 -print_final_stats=1; \
	done

# What a plugin call, a host call, routing and the state cost by themselves.
bench-parts: plugins guests
	cargo bench --package gateway --package aggregate --bench calls --bench parts --bench merge

# Both cores must be idle otherwise. RUN='--quick' or RUN='--only plain' for less.
bench:
	benches/peers/run.py run $(RUN)

bench-compare:
	benches/peers/run.py compare
