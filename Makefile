# What one does with this project; `make` alone lists it.

# Where `make run` listens; another place: make run SIP=127.0.0.1:5070 API=127.0.0.1:8090
SIP ?= 127.0.0.1:5060
API ?= 127.0.0.1:8088
# How long `make fuzz` works on each target, in seconds.
FUZZ_SECONDS ?= 60
# What `make cross` builds, package architecture=Rust target. One alone:
# make cross ROUTERS=mips_24kc=mips-unknown-linux-musl
ROUTERS ?= \
	mips_24kc=mips-unknown-linux-musl \
	mipsel_24kc=mipsel-unknown-linux-musl \
	arm_cortex-a7_neon-vfpv4=armv7-unknown-linux-musleabihf \
	aarch64_cortex-a53=aarch64-unknown-linux-musl \
	x86_64=x86_64-unknown-linux-musl
# Where `make cross` puts them.
CROSS ?= out/cross
# More words for cargo when it builds for routers: make cross CARGO_FLAGS=-j1
CARGO_FLAGS ?=
# The date of everything in packages, in seconds since 1970: that of the last commit, so that they come out the same again.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

OUT := $(CURDIR)/out/run

# musl and the startup code come from zig, and nothing is loaded at run time. The standard library is compiled along: for
# mips there is no other, and one made for size without backtraces spares 0.1 MB.
ROUTER_CARGO := RUSTUP_TOOLCHAIN=nightly cargo-zigbuild
ROUTER_FLAGS := -C link-self-contained=no -C relocation-model=static
ROUTER_STD := -Z build-std-features=optimize_for_size -Z build-std=std
# A panic is a trap at once, without a text: a tenth of the daemon and half of the CGI program. The record of the crash says
# where it was (docs/SIZE.md). The mesh monitor's files (the default feature `dashboard`) are in the web server's directory there.
# What programs for routers have beside the exchange (Cargo.toml); of the small package nothing.
ROUTER_FEATURES ?= desk,health,mesh
# An eighth smaller than with "s", which the profile has; a third more instructions for a message.
ROUTER_OPT := z
ROUTER_SMALL := -C force-unwind-tables=no -Z location-detail=none -Z unstable-options -C panic=immediate-abort
ROUTER_BUILD = RUSTFLAGS='$(ROUTER_FLAGS) $(ROUTER_SMALL)' CARGO_PROFILE_RELEASE_OPT_LEVEL=$(ROUTER_OPT) \
	$(ROUTER_CARGO) zigbuild $(CARGO_FLAGS) $(ROUTER_STD),panic_abort --release --workspace --bins \
	--no-default-features --features "$(ROUTER_FEATURES)"
# What a linker for mips leaves in is debugging data that nobody reads (`.pdr`): the objcopy that rustc itself has takes it out.
ROUTER_STRIP = LD_LIBRARY_PATH="$$(rustc +nightly --print sysroot)/lib" \
	"$$(rustc +nightly --print target-libdir)/../bin/rust-objcopy" --strip-all --remove-section .pdr --remove-section .comment
# Tests are optimised as on routers and checked as in a debug build.
ROUTER_TEST = RUSTFLAGS='$(ROUTER_FLAGS)' CARGO_PROFILE_DEV_OPT_LEVEL=s CARGO_PROFILE_DEV_DEBUG=line-tables-only \
	$(ROUTER_CARGO) test $(CARGO_FLAGS) $(ROUTER_STD),panic_unwind,test --lib

# Emulation is of one process: tests that start the built program or a browser stay here, as do those of the sources.
AT_HOME := api api_docs attack browser cli crash dashboard features health kernel layering mesh_daemon package peers privileges router soak
EMULATED := $(filter-out $(AT_HOME),$(patsubst tests/%.rs,%,$(patsubst %/main.rs,%.rs,$(wildcard tests/*.rs tests/*/main.rs))))
# qemu 7.2 hands on the TTL of a message with its bytes in the wrong order: no ping leaves an emulated mips.
# With the moment of arrival in control messages of a batch, the process ends by a fault now and then. `make router` runs all of them.
NOT_EMULATED := --skip rt::icmp --skip rt::mmsg::tests::a_batch
# It starts itself once more, and the kernel knows no emulator.
STARTS_ITSELF := --skip rt::stall

# What the emulated router is made of.
ROUTER := $(CURDIR)/out/router
# What of tests/ it runs besides the library's tests: make router ROUTER_TESTS='live sim'. What no kernel is asked for is tried faster by
# `make test-mips`.
ROUTER_TESTS ?=

.PHONY: help run test check bench soak fuzz cross size package cross-tools router test-mips test-armv7 clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: ## the exchange on loopback with a simulated mesh around it; no root, no configuration
	@cargo build --quiet --workspace
	@rm -rf $(OUT)/tmp # calls of a mesh that is no more
	@mkdir -p $(OUT)/tmp $(OUT)/www
	@sed -e 's|@OUT@|$(OUT)|; s|@SIP@|$(SIP)|; s|@API@|$(API)|' demo/switchboard > $(OUT)/switchboard
	@printf '%s\n' \
		'Switchboard on this machine, with a simulated mesh around it: nothing leaves it. Ctrl-C ends it.' \
		'  look     http://$(API)/           the exchange: its phonebook, calls, registered phones' \
		'           http://$(API)/arednmon/  the mesh: tests of all phones (after 20 s), the map (after 40 s)' \
		'  call     set up a softphone: server $(SIP), user 990101, any password. Then dial:' \
		'           990103 answers, 990104 is busy, 990107 lets it ring; they are simulated and say nothing' \
		'  ask      target/debug/switchboard status --config out/run/switchboard' \
		'  files    out/run' ''
	@target/debug/switchboard run --demo --config $(OUT)/switchboard || { status=$$?; echo; \
		echo 'It ended by itself. If the port is taken: make run SIP=127.0.0.1:5070 API=127.0.0.1:8090'; exit $$status; }

test: ## every test; peers that are not installed are named and skipped
	cargo test --workspace

check: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: ## load beside Kamailio, tests beside fping, scamper and curl, instructions per message (root; see CONTRIBUTING.md)
	cargo bench --bench side_by_side
	cargo bench --bench desk
	cargo bench --bench instructions

soak: ## simulated days with everything that goes wrong, then calls for an hour (SOAK_HOURS, SOAK_SECONDS, SOAK_RATE; sipp)
	cargo test --release --test soak -- --nocapture --include-ignored --test-threads=1

fuzz: ## every fuzz target for a minute (cargo-fuzz, nightly)
	@cd fuzz && for target in $$(cargo fuzz list); do \
		cargo +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done

cross: cross-tools ## static daemon and CGI program for every router, into out/cross (ROUTER_FEATURES, CROSS)
	@for router in $(ROUTERS); do arch=$${router%%=*} target=$${router#*=}; \
		mkdir -p $(CROSS)/$$arch && $(ROUTER_BUILD) --target $$target || exit 1; \
		for program in switchboard switchboard-cgi; do \
			$(ROUTER_STRIP) target/$$target/release/$$program $(CROSS)/$$arch/$$program || exit 1; done; done

size: cross ## what the programs and packages weigh, into docs/SIZE.md; fails over the budget (python3)
	@python3 openwrt-package/size.py $(CROSS) out/packages openwrt-package/size-budget docs/SIZE.md

package: ## .ipk and .apk of what is in out/cross (CROSS), into out/packages (python3)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) python3 openwrt-package/pack.py out/packages \
		$(foreach router,$(ROUTERS),$(firstword $(subst =, ,$(router)))=$(CROSS)/$(firstword $(subst =, ,$(router))))

router: cross-tools $(ROUTER)/vmlinux $(ROUTER)/busybox ## an emulated router with a kernel of its own: the package and the tests on it (see CONTRIBUTING.md; root)
	$(MAKE) cross package ROUTERS=mips_24kc=mips-unknown-linux-musl
	cp "$$(ls -t out/packages/switchboard_*_mips_24kc.ipk | head -1)" $(ROUTER)/package.ipk
	rm -rf $(ROUTER)/tests
	CARGO_TARGET_MIPS_UNKNOWN_LINUX_MUSL_RUNNER='$(CURDIR)/tests/router/keep $(ROUTER)/tests' \
		$(ROUTER_TEST) $(ROUTER_TESTS:%=--test %) --target mips-unknown-linux-musl
	SWITCHBOARD_ROUTER=$(ROUTER) SWITCHBOARD_REQUIRE_PEERS=1 cargo test --test router -- --test-threads=2 --nocapture

$(ROUTER)/vmlinux: tests/router/kernel.config
	tests/router/build kernel $@

$(ROUTER)/busybox: tests/router/busybox.config
	tests/router/build busybox $@

test-mips: cross-tools ## the tests without peers on an emulated 24Kc, big-endian (qemu-user-static)
	CARGO_TARGET_MIPS_UNKNOWN_LINUX_MUSL_RUNNER='qemu-mips-static -cpu 24Kc' \
		$(ROUTER_TEST) $(EMULATED:%=--test %) --target mips-unknown-linux-musl -- $(NOT_EMULATED) $(STARTS_ITSELF)

test-armv7: cross-tools ## the same on an emulated Cortex-A7
	CARGO_TARGET_ARMV7_UNKNOWN_LINUX_MUSLEABIHF_RUNNER='qemu-arm-static -cpu cortex-a7' \
		$(ROUTER_TEST) $(EMULATED:%=--test %) --target armv7-unknown-linux-musleabihf -- $(STARTS_ITSELF)

cross-tools:
	@[ -d "$$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ] || { \
		echo 'The sources of the standard library are missing: rustup toolchain install nightly --component rust-src'; exit 1; }
	@{ cargo-zigbuild --version && { zig version || python3 -m ziglang version; }; } >/dev/null 2>&1 || { \
		echo 'cargo-zigbuild or zig is missing: pip install ziglang==0.14.1 cargo-zigbuild (zig 0.17 cannot link for mips)'; exit 1; }

clean: ## everything that was built
	cargo clean
	rm -rf out
