#!/bin/sh
# Create passwords for compose.yaml in deploy/secrets; existing files are kept.
# --tls: also certificates of PostgreSQL and Redis for compose.tls.yaml, and URLs that verify them.
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
# certificate NAME: key and certificate of a server, by the authority in $authority
certificate() {
    openssl req -new -newkey rsa:3072 -nodes -subj "/CN=$1" -keyout "secrets/$1_key" \
        -addext "subjectAltName=DNS:$1,DNS:localhost" -out "$authority/$1.csr"
    openssl x509 -req -days 3650 -in "$authority/$1.csr" -CA secrets/servers_ca \
        -CAkey "$authority/key" -CAcreateserial -CAserial "$authority/serial" \
        -copy_extensions copy -out "secrets/$1_cert"
}
# query FILE TEXT: add to the URL, unless it has a query
query() { grep -q '?' "secrets/$1" || printf '%s' "$(cat "secrets/$1")?$2" > "secrets/$1"; }

if [ "${1:-}" = --tls ]; then
    chmod -R u+w secrets
    if [ ! -e secrets/servers_ca ]; then
        # The key of the authority is deleted: to renew, delete servers_ca and run this again.
        authority=$(mktemp -d)
        trap 'rm -rf "$authority"' EXIT
        {
            openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=osteoscreen servers" \
                -addext "keyUsage=critical,keyCertSign,cRLSign" \
                -keyout "$authority/key" -out secrets/servers_ca
            certificate postgres
            certificate redis
        } 2>/dev/null
    fi
    for name in database_url database_url_storescp database_url_worker database_url_review; do
        query "$name" "sslmode=verify-full&sslrootcert=/run/secrets/servers_ca"
    done
    sed -i 's|^redis:|rediss:|' secrets/broker_url
    query broker_url "ssl_cert_reqs=required&ssl_ca_certs=/run/secrets/servers_ca"
fi
# Compose mounts the files with these modes, and the services run as other users.
chmod 0444 secrets/*
chmod 0700 secrets
echo "in $(pwd)/secrets: $(cd secrets && echo *)"
