#!/bin/sh
# Ends with 0 when the settings in a file cannot trade real money: no live broker, no second word for one, no live key.
# Keys of Alpaca's paper accounts begin with PK, those of live accounts with AK.
set -eu
file=${1:-secrets/settings.env}
[ -r "$file" ] || { echo "$file cannot be read: what trades there cannot be told." >&2; exit 1; }
live='^[[:space:]]*(export[[:space:]]+)?(TP_BROKER=.*live|TP_ALPACA__CONFIRM_LIVE=.*(true|1|yes|on|t|y)|(APCA_API_KEY_ID|TP_ALPACA__KEY_ID)=["'\'']?[^"'\''P[:space:]]|(APCA_API_KEY_ID|TP_ALPACA__KEY_ID)=["'\'']?P[^K])'
if found=$(grep -Eio "$live" "$file"); then
  echo "$file is not for paper only: $(echo "$found" | sed 's/=.*//' | tr '\n' ' ')" >&2
  exit 1
fi
