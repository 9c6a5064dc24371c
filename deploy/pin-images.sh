#!/bin/sh
# Pin the images of compose.yaml by their digests, or renew the digests. Needs Docker with buildx
# and access to the registries. --check: only fail if an image has no digest.
set -eu
cd "$(dirname "$0")"

images() { sed -n '/^x-images:/,/^$/s/^  [a-z]*: &[a-z-]* //p' compose.yaml; }

if [ "${1:-}" = --check ]; then
    ! images | grep -v '@sha256:[0-9a-f]\{64\}$'
    exit
fi
images | while read -r image; do
    name=${image%@*}
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$name")
    sed -i "s|^\(  [a-z]*: &[a-z-]* \)$image\$|\1$name@$digest|" compose.yaml
    echo "$name@$digest"
done
