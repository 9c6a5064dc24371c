#!/bin/sh
# Put the files of the Debian package into the folder $1, except for the Python environment.
# $2: minor version of Python 3 that the environment is for.
set -eu
cd "$(dirname "$0")/../.."
root=$1 minor=$2
umask 022

put() { # put MODE FILE TARGET
    install -D -m "$1" "$2" "$root/$3"
}

for unit in deploy/systemd/*.service; do
    put 0644 "$unit" "usr/lib/systemd/system/${unit##*/}"
done
put 0644 deploy/systemd/osteoscreen.sysusers.conf usr/lib/sysusers.d/osteoscreen.conf
put 0644 deploy/deb/osteoscreen.tmpfiles.conf usr/lib/tmpfiles.d/osteoscreen.conf
put 0644 deploy/systemd/osteoscreen.env usr/share/osteoscreen/osteoscreen.env
for file in deploy/systemd/drop-in/*.conf; do
    put 0644 "$file" "usr/share/osteoscreen/drop-in/${file##*/}"
done
put 0644 deploy/monitoring/alerts.yml usr/share/osteoscreen/monitoring/alerts.yml
put 0644 deploy/monitoring/grafana/dashboards/osteoscreen.json \
    usr/share/osteoscreen/monitoring/osteoscreen.json
put 0644 LICENSE usr/share/doc/osteoscreen/copyright
put 0644 CHANGELOG.md usr/share/doc/osteoscreen/CHANGELOG.md
mkdir -p "$root/opt/osteoscreen" "$root/usr/sbin"
cp -r docs "$root/opt/osteoscreen/docs"
rm -rf "$root/opt/osteoscreen/docs/generate"
ln -sf /opt/osteoscreen/venv/bin/osteoscreenctl "$root/usr/sbin/osteoscreenctl"

mkdir -p "$root/DEBIAN"
for script in postinst prerm postrm; do
    put 0755 "deploy/deb/$script" "DEBIAN/$script"
done
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# Packages of one version for two releases of Debian differ in their Python.
sed -e "s/@VERSION@/$version+python3.$minor/" \
    -e "s/@ARCHITECTURE@/$(dpkg --print-architecture)/" \
    -e "s/@INSTALLED_SIZE@/$(du -ks "$root" | cut -f1)/" \
    -e "s/@MINOR@/$minor/" -e "s/@NEXT_MINOR@/$((minor + 1))/" \
    deploy/deb/control.in > "$root/DEBIAN/control"
