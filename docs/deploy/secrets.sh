#!/bin/sh
# Makes the files that docker-compose.yml reads from ./secrets. What is there already is left as it is.
set -eu
umask 077
mkdir -p "${1:-secrets}"
cd "${1:-secrets}"
umask 022 # nobody else gets into the folder; in containers, users of their own read the files

for name in postgres_password redis_password web_password grafana_password; do
  [ -s "$name" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$name"
done
for name in slack_webhook_url pagerduty_key smtp_password dead_mans_switch_url; do
  [ -e "$name" ] || : > "$name"
done
[ -e settings.env ] || cat > settings.env << END
TP_DAGSTER_URL=postgresql://trading:$(cat postgres_password)@postgres:5432/dagster
TP_LEDGER_URL=postgresql://trading:$(cat postgres_password)@postgres:5432/ledger
TP_REDIS_URL=redis://:$(cat redis_password)@redis:6379/0
# Runs by workers (docs/how-to/scale-out.md):
# TP_CELERY_URL=redis://:$(cat redis_password)@redis:6379/1
# Alpaca (docs/how-to/trade-on-an-alpaca-paper-account.md):
# APCA_API_KEY_ID=
# APCA_API_SECRET_KEY=
# Notices from Dagster (docs/how-to/watch-and-be-woken.md):
# TP_ALERTS__SLACK_URL=
END
