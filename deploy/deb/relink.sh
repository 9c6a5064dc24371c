#!/bin/sh
# Let the relocatable environment $1 run with Debian's Python 3.$2, wherever its own Python is.
set -eu
venv=$1 minor=$2
ln -sf "/usr/bin/python3.$minor" "$venv/bin/python"
sed -i 's,^home = .*,home = /usr/bin,' "$venv/pyvenv.cfg"
