#!/bin/sh
# Make the virtual environment in $1 from requirements/lock.txt, with the Python of $PYTHON.
set -eu
venv=$1
python=${PYTHON:-python3}

# The oldest supported minor version and the first unsupported one, of requires-python.
range=$(sed -n 's/^requires-python = ">=3\.\([0-9]*\),<3\.\([0-9]*\)".*/\1 \2/p' pyproject.toml)
oldest=${range% *}
newest=$((${range#* } - 1))

fail() {
    echo "$*" >&2
    exit 1
}

# Print what a command says only if it fails.
quiet() {
    said=$("$@" 2>&1) || fail "$said"
}

runs() {
    "$1" -c '' 2>/dev/null
}

minor=$("$python" -c 'import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else 0)' \
    2>/dev/null) || minor=0
if [ "$minor" -lt "$oldest" ] || [ "$minor" -gt "$newest" ]; then
    found="$python is Python 3.$minor"
    [ "$minor" != 0 ] || found="$python is no Python 3 that runs"
    other=$newest
    until [ "$other" -lt "$oldest" ] || runs "python3.$other"; do
        other=$((other - 1))
    done
    install=""
    if [ "$other" -lt "$oldest" ]; then
        other=$newest
        install="install one of them (for example: uv python install 3.$newest) and "
    fi
    fail "$found; osteoscreen needs Python 3.$oldest to 3.$newest:" \
        "${install}type make demo PYTHON=python3.$other"
fi

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    # Debian and Ubuntu have it in a package of its own.
    package=python3.$minor-venv
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail "$package is not installed: type sudo apt-get install $package"
    export DEBIAN_FRONTEND=noninteractive
    quiet apt-get update
    quiet apt-get install -y --no-install-recommends "$package"
fi

# An account without a home folder that it may write to (a service's) has nothing cached.
if [ ! -w "${HOME:-/}" ] && [ -z "${UV_CACHE_DIR:-}" ]; then
    export UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
fi

# Make writes .ready at the end. Without it an earlier run was interrupted: start again, as with
# an environment of another Python.
made=$("$venv/bin/python" -c 'import sys; print(sys.version_info[1])' 2>/dev/null) || made=none
if [ ! -e "$venv/.ready" ] || [ "$made" != "$minor" ]; then
    quiet "$python" -m venv --clear "$venv"
fi
rm -f "$venv/.ready"

# The version of uv is the lock's own.
uv=$(sed -n 's/^\(uv==[^ ;]*\).*/\1/p' requirements/lock.txt)
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$uv"
"$venv/bin/uv" pip sync --quiet --compile-bytecode \
    --python "$venv/bin/python" --require-hashes requirements/lock.txt
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .
