#!/bin/sh
# One night: snapshot, bundle, rings, scores. Steps that an earlier try of the same night finished are left out, and a step
# that was cut short goes on where it stopped.
set -eu

night="$1"
done="$RINGWATCH_WORKSPACE/nightly/$night"
spec="${RINGWATCH_SPEC:-$RINGWATCH_WORKSPACE/spec.yaml}"
mkdir -p "$done"

step() {
  name="$1"
  shift
  if [ -e "$done/$name" ]; then
    echo "$night: $name is done"
    return
  fi
  echo "$night: $name"
  "$@"
  touch "$done/$name"
}

step etl ringwatch ray etl "$spec" ${RINGWATCH_DATA:+--data "$RINGWATCH_DATA"}
step train ringwatch ray train
step rings ringwatch ray rings
step score ringwatch ray score "$RINGWATCH_WORKSPACE/scores/$night.parquet"
