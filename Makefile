# Everything a developer or CI runs. `make` alone lists the targets.

FUZZTIME ?= 3s

# The linter is built from its own module, so that it is pinned to the byte and
# no dependency of the product.
STATICCHECK := bin/staticcheck

.DEFAULT_GOAL := help
.PHONY: help tools build test check race e2e chaos fuzz lint fmt bench microbench dev

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## install what the tests need and the machine lacks (Debian, as root)
	@.ci/tools

build: ## static binaries of every command into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

test: ## everything CI runs: format, vet, lint, all tests with -race, a moment of each fuzz target
	@set -e; start=$$(date +%s); \
	for step in tools check lint race fuzz; do \
		echo "== $$step"; $(MAKE) --no-print-directory $$step; \
	done; \
	echo "== passed in $$(($$(date +%s) - start)) s"

check: ## gofmt and vet
	@unformatted=$$(gofmt -l .) || exit; \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...

race: ## all tests, with the race detector
	go test -race -timeout 6m ./...

e2e: ## only the tests of the whole path
	go test -race -timeout 6m -count 1 ./test/...

chaos: ## kill publisher, NATS and database 100 times per source, under load (half an hour)
	go test -race -timeout 90m -count 1 -v ./test/chaos -chaos.kills 100

fuzz: ## each fuzz target for FUZZTIME (3s)
	@.ci/fuzz $(FUZZTIME)

lint: $(STATICCHECK) ## staticcheck with the checks of staticcheck.conf
	$(STATICCHECK) ./...

$(STATICCHECK): tools/go.mod tools/go.sum
	cd tools && go build -o ../$@ honnef.co/go/tools/cmd/staticcheck
	@touch $@

fmt: ## gofmt every file
	gofmt -w .

bench: ## the figures of docs/BENCHMARKS.md, measured on real processes (Linux, half an hour)
	@set -e; go build -o bin/bench ./test/bench; \
	run() { echo "== $$*"; bin/bench "$$@"; }; \
	run start; run tail; run idle; \
	for source in sqlite postgres outbox; do \
		for scenario in latency bulk small cost; do run $$scenario -source $$source; done; \
	done; \
	for scenario in bulk small cost; do run $$scenario -source postgres -identity default; done; \
	for source in postgres outbox; do run takeover -source $$source; done

microbench: ## Go benchmarks of single functions
	go test -run '^$$' -bench . -benchmem ./...

dev: ## the whole fabric in one process, with a page to try it
	go run ./cmd/fabric dev
