#!/bin/sh
# send.sh PREFIX COUNT: tells COUNT notes, and prints each answer on a line.
set -eu
. "$(dirname "$0")/../../docs/clients/rollcall.sh"
i=0
while [ "$i" -lt "$2" ]; do
	rollcall_send com.example.step.done node/node-0001 "{\"step\":$i}" "$1-$i"
	i=$((i + 1))
done
if rollcall_send node.condition node/node-0001 '{"type":"Ready","status":"Perhaps"}'; then
	echo "a refusal returned 0" >&2
	exit 1
fi
rollcall_read 0 'com.example.*' false | grep -m 1 "\"id\":\"$1-0\""
