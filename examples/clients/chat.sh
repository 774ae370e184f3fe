#!/bin/sh
# Asks an adapter one question and prints the server-sent events of its answer, with nothing but curl.
#
#   LORIKEET_API_KEY=... sh examples/clients/chat.sh ticket-router "My invoice is wrong"
#
# LORIKEET_URL is the server's address (http://127.0.0.1:8080 when unset).
set -eu

if [ $# -ne 2 ] || [ -z "${LORIKEET_API_KEY:-}" ]; then
  echo "usage: LORIKEET_API_KEY=... sh $0 <model> <question>" >&2
  exit 2
fi

# A question may hold quotes, backslashes and newlines; JSON wants them escaped.
json_string() {
  printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e '$!s/$/\\n/' | tr -d '\n'
}

curl --silent --show-error --no-buffer --fail-with-body \
  --header "authorization: Bearer $LORIKEET_API_KEY" \
  --header 'content-type: application/json' \
  --data "{
    \"model\": \"$(json_string "$1")\",
    \"messages\": [{\"role\": \"user\", \"content\": \"$(json_string "$2")\"}],
    \"temperature\": 0,
    \"stream\": true
  }" \
  "${LORIKEET_URL:-http://127.0.0.1:8080}/v1/chat/completions"
