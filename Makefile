# SPDX-License-Identifier: Apache-2.0

# Plain `make` lists the targets. Building needs Go alone; `sudo make test` and
# `sudo make demo` fetch what else they need from Debian.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# sudo resets PATH, and Go's own installer puts Go here.
export PATH := $(PATH):/usr/local/go/bin
# root's git refuses to look into a clone that somebody else owns, and with it
# the go command, which asks git for the version.
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := safe.directory
export GIT_CONFIG_VALUE_0 := $(CURDIR)

BINARIES := vethwayd vethway vethway-bench

##@ Build

.PHONY: build
build: ## build bin/vethwayd, bin/vethway and bin/vethway-bench (needs Go alone)
	@for b in $(BINARIES); do \
		echo "build bin/$$b"; \
		CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/$$b ./cmd/$$b; \
	done
	@.ci/own bin

.PHONY: generate
generate: ## compile the BPF programs and their Go mirror again (clang-19)
	@.ci/deps generate
	go generate ./bpf
	@.ci/own bpf

.PHONY: generate-check
generate-check: generate ## fail if what is generated differs from what is committed
	@.ci/unchanged bpf

.PHONY: clean
clean: ## remove what was built
	rm -rf bin

##@ Try it

.PHONY: demo
demo: build ## show it at work in throw-away namespaces (root)
	@.ci/root demo
	@.ci/deps test
	@bash test/demo/demo.sh

.PHONY: run
run: build ## run the daemon on this machine until Ctrl-C (root)
	@.ci/root run
	bin/vethwayd

.PHONY: bench
bench: build ## measure against the rivals, print the table of goals, make the report and what README.md shows (root)
	@.ci/root bench
	@.ci/deps test
	@.ci/bench

.PHONY: bench-report
bench-report: build ## make bin/report.html and the chart in README.md of what `make bench` has measured
	bin/vethway-bench html --in bin/bench.json $$([ ! -f bin/size.json ] || echo --size bin/size.json) --out bin/report.html
	bin/vethway-bench svg --in bin/bench.json --out cmd/vethway-bench/bench.svg
	@.ci/own bin cmd/vethway-bench

.PHONY: bench-quick
bench-quick: build ## the essential lines of it in two minutes; writes nothing but bin/quick.json (root)
	@.ci/root bench-quick
	@.ci/deps test
	bin/vethway-bench run --quick --out bin/quick.json
	@.ci/own bin

##@ Check

.PHONY: test
test: ## run every test; STRICT=1 makes a skip a failure (root)
	@.ci/root test
	@.ci/deps test
	@mkdir -p bin; rm -f bin/compliance.jsonl
	@VETHWAY_COMPLIANCE=$(CURDIR)/bin/compliance.jsonl \
		go run ./test/internal/gotest -p 1 -timeout 25m ./...
	@.ci/own bin

.PHONY: test-unit
test-unit: ## run the tests that need neither root nor the kernel
	@STRICT= go run ./test/internal/gotest -short ./...

.PHONY: test-race
test-race: ## the same under the race detector (gcc)
	@STRICT= CGO_ENABLED=1 go run ./test/internal/gotest -race -short ./...

.PHONY: compliance
compliance: ## run the tests, then write test/compliance.json and the table in test/README.md (root)
	@status=0; $(MAKE) test || status=$$?; \
		go run ./test/internal/compliance -results bin/compliance.jsonl -write || status=$$?; \
		.ci/own test; exit $$status

.PHONY: compliance-check
compliance-check: ## fail if the last `make test` proves anything else than test/compliance.json says
	@go run ./test/internal/compliance -results bin/compliance.jsonl -check

.PHONY: conformance
conformance: ## NAT by the book: vethway, nf_nat and a router side by side (root)
	@.ci/root conformance
	@.ci/deps test
	@go test -count=1 -timeout 10m -run TestConformance ./test/conformance -report
	@sed -n '/conformance:begin/,/conformance:end/p' test/conformance/README.md
	@.ci/own test

# How long make fuzz takes, all targets together.
FUZZTIME ?= 10m

.PHONY: fuzz
fuzz: ## run every fuzz target, FUZZTIME=10m in all (root)
	@.ci/root fuzz
	@go run ./test/internal/fuzz -time $(FUZZTIME)
	@.ci/own control maps test

# How long make proof takes.
PROOFTIME ?= 10m

.PHONY: proof
proof: ## the allocator under concurrency, for PROOFTIME=10m (root)
	@.ci/root proof
	@go test -count=1 -v -timeout 0 -run '^TestAllocatorProof$$' ./test/packet -proof $(PROOFTIME)

# Flags of test/internal/oldkernel, such as -run NAME or -kernel FILE.
OLDKERNEL ?=

.PHONY: old-kernel
old-kernel: ## the tests nearest to the kernel on Debian's Linux 6.1, in qemu; OLDKERNEL='-suite host -run NAME' for some
	@.ci/deps test old-kernel
	@status=0; go run ./test/internal/oldkernel $(OLDKERNEL) || status=$$?; \
		.ci/own bin; exit $$status

.PHONY: fmt
fmt: ## format Go and C
	@.ci/deps lint
	gofmt -s -w $$(.ci/sources go)
	@.ci/sources c | xargs --no-run-if-empty clang-format-19 -i

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, clang-format and shellcheck
	@.ci/deps lint
	@.ci/lint

.PHONY: ci
ci: ## everything that continuous integration runs (root)
	@bash .ci/run

##@ Set up

.PHONY: deps
deps: ## install every Debian package that some target needs, if missing (root)
	@.ci/deps test generate lint old-kernel

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
