#!/bin/sh
# Make the virtual environment in $1 from requirements/lock.txt.
set -eu
venv=$1
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "osteoscreen needs Python 3.11 or newer; name one: make demo PYTHON=python3.12" >&2
    exit 1
}
if ! "$python" -m venv "$venv"; then
    # Debian and Ubuntu keep ensurepip in a package of its own.
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || {
        echo "install python3-venv first (sudo apt-get install python3-venv)" >&2
        exit 1
    }
    apt-get update -qq && apt-get install -y -qq python3-venv
    "$python" -m venv "$venv"
fi
# The version of uv is the lock's own.
uv=$(sed -n 's/^\(uv==[^ ;]*\).*/\1/p' requirements/lock.txt)
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$uv"
"$venv/bin/uv" pip install --quiet --compile-bytecode \
    --python "$venv/bin/python" --require-hashes \
    -r requirements/lock.txt
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .
