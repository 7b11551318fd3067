#!/bin/sh
# Makes what `docker compose up` still lacks, and does nothing twice: the demo's game in an empty workspace,
# models and rings, a first API key, the graph with its scores and rings in Neo4j.
set -eu

game="$(dirname "$0")/../examples/game_signups/spec.yaml"
current="$RINGWATCH_WORKSPACE/current.json"
first_key="$RINGWATCH_WORKSPACE/first-key"

if [ ! -e "$current" ]; then
  ringwatch build "$game"
fi
if grep -q '"bundle": null' "$current"; then
  ringwatch train
fi
if grep -q '"rings": null' "$current"; then
  ringwatch rings
fi

# Beyond the container's own loopback every request needs a key, and without one the service does not start.
if ringwatch keys list --json | grep -q '"keys": \[\]'; then
  umask 077
  ringwatch keys create first --scope read --scope score >"$first_key.new"
  mv "$first_key.new" "$first_key"
  echo "the first API key is in the workspace: docker compose exec ringwatch cat $first_key"
fi

ringwatch neo4j load
ringwatch neo4j write-back
