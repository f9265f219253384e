# Only Go is needed to start: `make run` and `make test` install the rest. `make` lists all targets.
SHELL := bash
.DEFAULT_GOAL := help

# Variables, as in: make test PKG=./internal/chat TESTFLAGS="-run Hole -v"
ARGS      ?=
PKG       ?= ./...
TESTFLAGS ?=
TIMEOUT   ?= 30m
FUZZTIME  ?= 10s
COUNT     ?= 6
IMAGE     ?= roomspa
DOCKER    ?= docker
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo dev)
COMMIT    ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

# Nested modules keep their dependencies out of the product's go.mod.
NESTED = $(patsubst %/go.mod,%,$(wildcard */go.mod))
# The tests of e2e need a cluster: make test only compiles them. Those of browser start roomspa, so Go cannot cache them:
# they run with all tests only.
LOCAL  = $(filter-out e2e browser,$(NESTED))

# tools/deps.sh unpacks packages into .deps if it cannot install them. Expanded late: the target deps may create it.
export ROOMSPA_DEPS = $(shell test ! -d .deps || echo "$(CURDIR)/.deps")
export PATH := $(CURDIR)/.deps/bin:$(PATH)
# build stamps the version itself. Go's own stamp fails in a clone that another user owns.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-9s  %s\n", $$1, $$2 }' Makefile

run: deps build ## Run two replicas with a private PostgreSQL and Redis (ARGS="--reset")
	@exec bin/roomspa dev $(ARGS)

dev: run ## Same as run

# -count=1: Go's test cache does not see changes in PostgreSQL and Redis. Tests mostly wait, so more of them run at once
# than there are cores. TIMEOUT is per package and only ends tests that hang.
test: deps ## Run all tests, with the race detector (PKG=./internal/chat TESTFLAGS="-run Hole -v")
	@[[ "$(PKG)" != ./... ]] || $(MAKE) --no-print-directory testmodules
	@race=$$(tools/deps.sh race); cores=$$(nproc); \
	  go test $$race -count=1 -timeout $(TIMEOUT) -p $$((cores * 2)) -parallel $$((cores + 1)) $(TESTFLAGS) $(PKG)

# With all tests only: the packages of PKG are those of the main module.
testmodules:
	@tools/deps.sh promtool
	@cd e2e && go test -c -o /dev/null .
	@for module in $(LOCAL); do (cd $$module && go test -timeout $(TIMEOUT) ./...) || exit; done
	@tools/deps.sh chromium && cd browser && go test -count=1 -timeout $(TIMEOUT) .

build: ## Build bin/roomspa
	@CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION) -X main.commit=$(COMMIT)" -o bin/roomspa ./cmd/roomspa

check: ## Run lint and test, as CI does
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test

lint: bin/golangci-lint deps ## Check format, imports, style, modules, mutants, generated files and scripts
	@bin/golangci-lint run ./... && go vet ./...
	@for module in $(NESTED); do (cd $$module && LOG_LEVEL=error "$(CURDIR)/bin/golangci-lint" run ./... && go vet ./...) || exit; done
	@for module in . $(NESTED); do (cd $$module && go mod tidy -diff && go mod verify >/dev/null) || exit; done
	@cd tools && go run ./mutants -check
	@before=$$(git diff 2>/dev/null); go generate ./... && (cd tools && go generate ./...) || exit; \
	  [[ $$before == "$$(git diff 2>/dev/null)" ]] || { echo "make gen changed files: commit them"; exit 1; }
	@$(MAKE) --no-print-directory vulncheck
	@! command -v shellcheck >/dev/null || shellcheck tools/*.sh .ci/run

# Known vulnerabilities in what the program calls. The database is on the internet, so a machine without it skips this.
VULNDB ?= https://vuln.go.dev
vulncheck: ## Check the dependencies for known vulnerabilities (VULNDB=file:///path for a copy of the database)
	@if [[ $(VULNDB) == file://* ]] || curl -fsS --max-time 10 -o /dev/null $(VULNDB)/index/db.json 2>/dev/null; then \
	  cd release && go tool govulncheck -db $(VULNDB) -C .. ./...; \
	else echo "vulncheck: skipped, since $(VULNDB) does not answer"; fi

fuzz: deps ## Run each fuzz target (FUZZTIME=10s)
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' cmd internal | while IFS=: read -r file func; do \
	  go test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) "./$${file%/*}" </dev/null || exit; done

bench: deps bin/benchstat ## Run the benchmarks and compare them with the last run (COUNT=6)
	@[[ ! -f bin/bench.txt ]] || mv bin/bench.txt bin/bench.last.txt
	@set -o pipefail; go test -run '^$$' -bench . -benchmem -count $(COUNT) $(PKG) | tee bin/bench.txt
	@[[ ! -f bin/bench.last.txt ]] || bin/benchstat bin/bench.last.txt bin/bench.txt

# The largest table has 10 million messages, which take 6 GB of disk until the end. GROW=Idle measures one part again.
grow: deps ## Measure how cost grows, and write it into docs/performance.md (20 minutes)
	@set -o pipefail; ROOMSPA_BENCH_MESSAGES=10000000 go test -run '^$$' -bench 'Benchmark(Grow|TableSize).*$(GROW)' -benchtime 1x -p 1 -timeout 1h \
	  ./internal/tool/bench ./internal/tool/adopt ./internal/postgres | tee -a bin/grow.txt
	@cd tools && go run ./grow ../bin/grow.txt ../docs

soak: deps build ## Inject faults for 10 minutes and check that no message is lost (ARGS="--seed 7 --for 1m")
	@exec bin/roomspa soak $(ARGS)

e2e: ## Test the chart in a Kubernetes cluster, with faults (docs/developing.md)
	@cd e2e && go test -count=1 -timeout 2h -v $(TESTFLAGS) .

mutants: deps ## Break each guarantee on purpose and check that tests fail (ARGS=side_door for one)
	@cd tools && go run ./mutants $(ARGS)

gen: deps ## Regenerate generated documents, golden files and go.sum
	@for module in . $(NESTED); do (cd $$module && go mod tidy) || exit; done
	@go generate ./...
	@cd tools && go generate ./...
	@cd charts && go test . -update >/dev/null

image: ## Build the container image (IMAGE=roomspa)
	@$(DOCKER) build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE):$(VERSION) .

# Needs neither Docker nor a registry. Publishing is in docs/developing.md.
release: ## Make the files of a release in dist: binaries, image, chart, SBOM, checksums (IMAGE=ghcr.io/acme/roomspa)
	@cd release && go run . -image $(IMAGE)

deps: ## Install PostgreSQL, Redis and a C compiler, if missing
	@tools/deps.sh

clean: ## Remove build results and the data of make run
	rm -rf bin dist .roomspa

# The versions of these tools are in tools/go.mod.
bin/golangci-lint: tools/go.mod tools/go.sum
	@echo "building $@ (takes a few minutes, once)"
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/benchstat: tools/go.mod tools/go.sum
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../$@ golang.org/x/perf/cmd/benchstat

.PHONY: help run dev test testmodules build check lint vulncheck fuzz bench grow soak e2e mutants gen image release deps clean
