#!/bin/sh
# Ask uv's resolver, as a dry run, for a wheel of every locked package on every supported Python
# and platform. $1: the folder of the virtual environment. Nothing is installed.
set -u
venv=$1
lock=${2:-requirements/lock.txt}
range=$(sed -n 's/^requires-python = ">=3\.\([0-9]*\),<3\.\([0-9]*\)".*/\1 \2/p' pyproject.toml)
target=$(mktemp -d)
trap 'rm -rf "$target"' EXIT
missing=0
minor=${range% *}
while [ "$minor" -lt "${range#* }" ]; do
    # The oldest glibc that a supported Debian or RHEL 8 has; macOS on Apple's processors.
    for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do
        if said=$("$venv/bin/uv" pip install --dry-run --quiet --no-deps --only-binary :all: \
            --python "$venv/bin/python" --python-version "3.$minor" --target "$target/none" \
            --python-platform "$platform" --require-hashes -r "$lock" 2>&1); then
            echo "Python 3.$minor, $platform: every locked package has a wheel"
        else
            echo "Python 3.$minor, $platform: $said" >&2
            missing=1
        fi
    done
    minor=$((minor + 1))
done
exit $missing
