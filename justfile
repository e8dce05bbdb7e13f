# Everything a developer does here. `just check` is what CI runs.

_default:
    @just --list

# Format, lints, unit and property tests, wasm build, end-to-end, browser, upload clients.
check:
    scripts/test

# Start Reelmill here; with files, upload them and print their signed URLs.
run *files:
    scripts/run {{files}}

# Unit and property tests: seconds.
test:
    scripts/test unit

# The real gateway in workerd, the real handler, real FFmpeg.
e2e *filter:
    scripts/setup
    scripts/build
    cargo nextest run -p e2e --test system {{filter}}

# The console in a real browser.
browser:
    scripts/test browser

# Real tus-js-client and Uppy against a gateway that is killed meanwhile.
clients:
    scripts/test clients

# The README's picture of the console, of made-up clips.
screenshot:
    scripts/setup test
    scripts/build
    target/release/reelmill-dev --around node tests/browser/screenshot.mjs docs/console.webp

# The whole pipeline against plain FFmpeg, and the gateway against a plain JavaScript Worker.
bench *args:
    scripts/setup
    scripts/build
    target/release/reelmill-bench --output docs/benchmarks.md {{args}}

# The tus route against @tus/server and against a bare Worker; memory of many uploads and of a long one.
bench-upload *args:
    scripts/setup test
    scripts/build
    target/release/reelmill-bench-uploads --output docs/benchmarks-uploads.md {{args}}

# Both images, built and tried without a Docker daemon; as root, some minutes.
images *which:
    scripts/images {{which}}

fmt:
    cargo fmt --all

lint:
    scripts/test lint
