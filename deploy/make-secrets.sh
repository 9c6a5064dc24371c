#!/bin/sh
# Create passwords for compose.yaml in deploy/secrets; existing files are kept.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# keep NAME VALUE
keep() { [ -e "secrets/$1" ] || printf '%s' "$2" > "secrets/$1"; }

keep postgres_password "$(random)"
keep redis_password "$(random)"
keep grafana_password "$(random)"
keep database_url \
    "postgresql+psycopg2://osteoscreen:$(cat secrets/postgres_password)@postgres/osteoscreen"
# The same database for each service, with a user of its own (python -m db roles).
for service in storescp worker review; do
    keep "database_url_$service" \
        "$(sed "s|//[^@/]*@|//osteoscreen_$service:$(random)@|" secrets/database_url)"
done
keep broker_url "redis://:$(cat secrets/redis_password)@redis:6379/0"
# The demo PACS; replace it by your own.
keep destinations \
    '[{"name": "orthanc", "kind": "dimse", "ae_title": "ORTHANC", "host": "orthanc", "port": 4242}]'
keep review_tokens "[{\"name\": \"operator\", \"role\": \"operator\", \"token\": \"$(random)\"}]"
keep stow_token "$(random)"
# Compose mounts the files with these modes, and the services run as other users.
chmod 0444 secrets/*
chmod 0700 secrets
echo "in $(pwd)/secrets: $(cd secrets && echo *)"
