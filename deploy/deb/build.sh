#!/bin/sh
# Build the Debian package in the folder $2, from the locked packages, for the minor version of
# $PYTHON, by default the Python 3 of this system. $1: the environment with uv.
set -eu
cd "$(dirname "$0")/../.."
uv=$1/bin/uv out=$2 python=${PYTHON:-/usr/bin/python3}
export UV_PYTHON_DOWNLOADS=never
umask 022
root=$out/root
venv=$root/opt/osteoscreen/venv

rm -rf "$root"
mkdir -p "$root/opt/osteoscreen"
# Relocatable: the programs find their Python wherever the folder is.
"$uv" venv --quiet --relocatable --python "$python" "$venv"
"$uv" pip install --quiet --python "$venv/bin/python" --link-mode=copy --require-hashes \
    -r requirements/worker.txt
"$uv" pip install --quiet --python "$venv/bin/python" --link-mode=copy --no-deps .
# With the paths of the installed files, which error messages show.
"$venv/bin/python" -m compileall -q -j 0 -s "$root" -p / "$venv/lib" || true
"$venv/bin/python" docs/generate/sbom.py "$root/usr/share/doc/osteoscreen" worker
minor=$("$venv/bin/python" -c 'import sys; print(sys.version_info[1])')
deploy/deb/relink.sh "$venv" "$minor"
deploy/deb/stage.sh "$root" "$minor"
dpkg-deb --root-owner-group -Zzstd --build "$root" "$out"
rm -rf "$root"
