# On a machine with nothing but Go two commands are enough: `make run` and `make test`. `make` alone lists the rest.
SHELL := bash
.DEFAULT_GOAL := help

# Settings: make test PKG=./internal/chat TESTFLAGS="-run Gap -v"
ARGS      ?=
PKG       ?= ./...
TESTFLAGS ?=
TIMEOUT   ?= 15m
FUZZTIME  ?= 10s
COUNT     ?= 6
IMAGE     ?= roomspa
DOCKER    ?= docker
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo dev)

# Nested modules keep their dependencies out of the product's go.mod.
NESTED = $(patsubst %/go.mod,%,$(wildcard */go.mod))
# Tests of e2e need a cluster, so test only compiles them.
HERE   = $(filter-out e2e,$(NESTED))

# Where tools/deps.sh unpacks what an ordinary user cannot install. Asked late: the target deps may just have made it.
export ROOMSPA_DEPS = $(shell test ! -d .deps || echo "$(CURDIR)/.deps")
export PATH := $(CURDIR)/.deps/bin:$(PATH)
# The version is stamped by build; asking git for it too fails in a clone that belongs to somebody else.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-7s  %s\n", $$1, $$2 }' Makefile

run: deps build ## Everything on this machine, to try it out (ARGS=...)
	@exec bin/roomspa dev $(ARGS)

dev: run ## The same as run

# -count=1, since Go's cache of results does not see the stores. The product's own lines come last. Everything is compiled
# first, and internal/app runs with nothing beside it: its scenes are held to the times that are promised. The other
# packages' tests mostly wait, for stores that are stopped and for time-outs: more of them run at once than there are cores.
test: deps ## The whole suite, with the race detector (PKG=./internal/chat TESTFLAGS="-run Gap -v")
	@tools/deps.sh promtool
	@cd e2e && go test -c -o /dev/null .
	@for module in $(HERE); do \
	  [[ -z $$(find $$module -name '*_test.go') ]] || (cd $$module && go test -timeout $(TIMEOUT) ./...) || exit; done
	@race=$$(tools/deps.sh race); cores=$$(nproc); all=$$(go list $(PKG)) || exit; code=0; \
	  go build $$race $$(go list -deps -test -f '{{if not (or .Standard .ForTest)}}{{.ImportPath}}{{end}}' $$all | grep -v '\.test$$') || exit; \
	  run() { [[ -z $$1 ]] || go test $$race -count=1 -timeout $(TIMEOUT) $$2 $(TESTFLAGS) $$1 || code=1; }; \
	  run "$$(grep '/internal/app$$' <<<"$$all")" ""; \
	  run "$$(grep -v '/internal/app$$' <<<"$$all")" "-p $$((cores * 2)) -parallel $$((cores + 1))"; exit $$code

build: ## Build bin/roomspa
	@CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/roomspa ./cmd/roomspa

check: ## What has to pass before a commit: lint and test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test

lint: bin/golangci-lint deps ## Format, imports and style, tidy modules, up-to-date generated files, scripts
	@bin/golangci-lint run ./... && go vet ./...
	@for module in $(NESTED); do (cd $$module && LOG_LEVEL=error "$(CURDIR)/bin/golangci-lint" run ./... && go vet ./...) || exit; done
	@for module in . $(NESTED); do (cd $$module && go mod tidy -diff && go mod verify >/dev/null) || exit; done
	@cd tools && go run ./mutants -check
	@before=$$(git diff 2>/dev/null); go generate ./... && (cd tools && go generate ./...) || exit; \
	  [[ $$before == "$$(git diff 2>/dev/null)" ]] || { echo "make gen changed files: commit them"; exit 1; }
	@! command -v shellcheck >/dev/null || shellcheck tools/*.sh .ci/run

fuzz: deps ## Every fuzz target, one after the other (FUZZTIME=10s)
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' cmd internal | while IFS=: read -r file func; do \
	  go test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) "./$${file%/*}" </dev/null || exit; done

bench: deps bin/benchstat ## Benchmarks, compared with those of the last call (COUNT=6)
	@[[ ! -f bin/bench.txt ]] || mv bin/bench.txt bin/bench.last.txt
	@set -o pipefail; go test -run '^$$' -bench . -benchmem -count $(COUNT) $(PKG) | tee bin/bench.txt
	@[[ ! -f bin/bench.last.txt ]] || bin/benchstat bin/bench.last.txt bin/bench.txt

soak: deps build ## Break everything for 10 minutes, and judge whether a message was lost (ARGS="--seed 7 --for 1m")
	@exec bin/roomspa soak $(ARGS)

e2e: ## Install into a Kubernetes cluster, break things there, remove it all (docs/e2e.md)
	@cd e2e && go test -count=1 -timeout 2h -v $(TESTFLAGS) .

mutants: deps ## Break each guarantee on purpose and check that tests fail (ARGS=side_door for one)
	@cd tools && go run ./mutants $(ARGS)

gen: deps ## Write generated docs and golden files anew
	@go generate ./...
	@cd tools && go generate ./...
	@cd charts && go test . -update >/dev/null

image: ## Build the container image (IMAGE=roomspa)
	@$(DOCKER) build --build-arg VERSION=$(VERSION) -t $(IMAGE):$(VERSION) .

deps: ## Install PostgreSQL, Redis and a C compiler, if missing
	@tools/deps.sh

clean: ## Remove what was built and what run has stored
	rm -rf bin .roomspa

# Built once. golangci-lint takes minutes, its versions are in tools/go.mod.
bin/golangci-lint: tools/go.mod tools/go.sum
	@echo "building $@ (some minutes, once)"
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/benchstat: tools/go.mod tools/go.sum
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../$@ golang.org/x/perf/cmd/benchstat

.PHONY: help run dev test build check lint fuzz bench soak e2e mutants gen image deps clean
