# make help lists the targets.

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS = -s -w -X main.version=$(VERSION)
TOOLS = $(CURDIR)/.cache/bin
GOLANGCI_VERSION = 2.15.0
GOLANGCI = $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)

# make test ARGS='-run TestX ./catalog' narrows the tests.
ARGS ?= ./...
SCALE ?= 0.05

.PHONY: help build test race faults lint fmt cross bench demo servers client oracle clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

build: ## build bin/pghaul, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/pghaul ./cmd/pghaul

test: servers client ## run all tests against real servers of PostgreSQL 11 to 18
	$(GO) test -timeout 20m $(ARGS)

race: servers client ## run all tests with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 20m $(ARGS)

faults: servers ## run the command while all sorts of things go wrong; SEED=1 RUNS=200
	PGHAUL_FAULTS_SEED=$(or $(SEED),1) PGHAUL_FAULTS_RUNS=$(or $(RUNS),200) $(GO) test ./internal/faults -run '^TestFaults$$' -count=1 -timeout 0 -v

lint: $(GOLANGCI) ## vet, lint and check the format (gofumpt)
	$(GO) vet ./...
	$(GOLANGCI) run ./...

fmt: $(GOLANGCI) ## format the code (gofumpt)
	$(GOLANGCI) fmt ./...

cross: ## compile for the other platforms
	@set -e; for target in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do \
		echo "GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build ./cmd/pghaul"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -trimpath -o /dev/null ./cmd/pghaul; \
	done

bench: build servers client ## compare with pg_dump, pg_restore and pgcopydb; SCALE=1 is 2.2 GB, BENCH='-rounds 3 -only dump' narrows
	$(GO) build -o bin/bench ./internal/bench
	$(GO) run ./internal/pgtest/throwaway run 18 -- bin/bench -scale $(SCALE) -o docs/benchmarks.md \
		-client "$$(scripts/oracle.sh | sed -n 's/^PostgreSQL 18 client: //p')" $(BENCH)

demo: build ## migrate the sample shop between an Azure-like and a Neon-like server
	$(GO) run ./internal/demo

servers: ## fetch what the tests need to run servers
	scripts/servers.sh

client: ## fetch the PostgreSQL 18 client that tests compare with
	scripts/oracle.sh

oracle: servers client ## compare dumps with pg_dump's, entry by entry, and count
	@$(GO) test ./dump -count=1 -timeout 20m -v -run 'EqualsPgDump|EqualPgDump|TestThirdParty' | grep -v -e '^=== ' -e '^ *--- PASS'

clean: ## remove what was built here
	rm -rf bin dist .cache

$(GOLANGCI):
	GOBIN=$(TOOLS)/tmp $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION)
	mv $(TOOLS)/tmp/golangci-lint $@
