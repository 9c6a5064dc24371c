#!/bin/sh
# Install the tools that the tests run: PACS, DICOM tools and validators, validators of the files
# for containers, systemd and Prometheus, a browser (and libatomic1, which the Node.js of
# playwright needs), and viewers (with npm, into build/viewers).
set -eu
"$(dirname "$0")/../tests/support/viewers/install.sh" build/viewers
packages="orthanc orthanc-dicomweb orthanc-python dcmtk dicom3tools pixelmed-apps libsaxonhe-java
    default-jdk-headless openssl docker-compose prometheus systemd chromium libatomic1 rsyslog
    rsyslog-gnutls postgresql"
missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
        apt="apt-get"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        apt="sudo apt-get"
    fi
fi
if [ -z "${apt:-}" ]; then
    echo "tests that need these packages will be skipped; install them:$missing" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
$apt update -qq
# shellcheck disable=SC2086  # a list of words
$apt install -y -qq --no-install-recommends $missing >/dev/null
