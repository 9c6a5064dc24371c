#!/bin/sh
# Install the viewers of the tests with npm into $1, once for each lock file: OHIF, which is
# published built, and the SR adapters of cornerstone. npm verifies the hashes of the lock file.
# The entry of @ohif/app has no dependencies on purpose: its files in dist/ need none.
set -eu
from=$(dirname "$0")
to=$1
if cmp -s "$from/package-lock.json" "$to/installed.json"; then
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "tests in OHIF and cornerstone will be skipped: npm is not installed" >&2
    exit 0
fi
mkdir -p "$to"
cp "$from/package.json" "$from/package-lock.json" "$to"
# Without peers: those that are used are in package.json. Without scripts: nothing is built.
if npm ci --prefix "$to" --ignore-scripts --legacy-peer-deps --no-audit --no-fund --silent; then
    cp "$from/package-lock.json" "$to/installed.json"
else
    echo "tests in OHIF and cornerstone will be skipped: npm could not install them" >&2
fi
