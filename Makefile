# What one does with this project; `make` alone lists it.

# Where `make run` listens; another place: make run SIP=127.0.0.1:5070 API=127.0.0.1:8090
SIP ?= 127.0.0.1:5060
API ?= 127.0.0.1:8088
# How long `make fuzz` works on each target, in seconds.
FUZZ_SECONDS ?= 60

OUT := $(CURDIR)/out/run

.PHONY: help run test check bench fuzz clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

run: ## the exchange on loopback with a demo book; no root, no configuration
	@cargo build --quiet --workspace
	@mkdir -p $(OUT)/tmp $(OUT)/www $(OUT)/hosts
	@sed -e 's|@ROOT@|$(CURDIR)|; s|@OUT@|$(OUT)|; s|@SIP@|$(SIP)|; s|@API@|$(API)|' demo/switchboard > $(OUT)/switchboard
	@printf '%s\n' \
		'Switchboard, on this machine only. Ctrl-C ends it; its files are in out/run.' \
		'  look     http://$(API)/' \
		'  ask      target/debug/switchboard status --config out/run/switchboard' \
		'  call     register two softphones at $(SIP) as 990101 and 990102,' \
		'           then dial the one from the other' ''
	@target/debug/switchboard run --config $(OUT)/switchboard || { status=$$?; echo; \
		echo 'It ended by itself. If the port is taken: make run SIP=127.0.0.1:5070 API=127.0.0.1:8090'; exit $$status; }

test: ## every test; peers that are not installed are named and skipped
	cargo test --workspace

check: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: ## load beside Kamailio, and instructions per message (sipp, kamailio, valgrind, taskset)
	cargo bench --bench side_by_side
	cargo bench --bench instructions

fuzz: ## every fuzz target for a minute (cargo-fuzz, nightly)
	@cd fuzz && for target in $$(cargo fuzz list); do \
		cargo +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done

clean: ## everything that was built
	cargo clean
	rm -rf out
