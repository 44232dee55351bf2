# Everything one can do here. `just` lists it.

_default:
    @just --list --unsorted

# The main job: start an embedded engine, drive it for ten seconds, check every acknowledged record.
bench *ARGS:
    cargo run --release -p highwater-bench -- {{ARGS}}

# CPU per record beside other Kafka clients; builds librdkafka.
bench-clients *ARGS:
    cargo run --release --manifest-path bench-harness/clients/Cargo.toml -- {{ARGS}}

# All tests.
test *ARGS:
    cargo test --workspace {{ARGS}}

# Formatting and lints, as CI holds them.
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings

# Run a broker on a directory.
serve DIR *ARGS:
    cargo run --release -p highwater-cli -- serve --data-dir {{DIR}} {{ARGS}}

# Real clients against the real binary.
compat *ARGS:
    tools/compat/run {{ARGS}}

# What CI runs.
ci:
    bash .ci/run
