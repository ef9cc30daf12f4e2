#!/bin/sh
# Tell rollcall what you know: POSIX sh and curl.
#
#     . ./rollcall.sh                                # ROLLCALL_URL, ROLLCALL_TOKEN, ROLLCALL_CA
#     rollcall_send node.observed node/n-17 '{"labels":{"zone":"a"}}'
#     rollcall_read 0 'node.*'
#
# rollcall_send prints the answer, and returns 0 if the event was accepted, 1 if
# it was refused, 2 if nobody answered for ROLLCALL_PATIENCE seconds (60). The id
# is made before the first try (or given as the fourth argument), so that the
# event is in the log once, however often it has to be sent.

rollcall_id() {
	if [ -r /proc/sys/kernel/random/uuid ]; then cat /proc/sys/kernel/random/uuid; else uuidgen; fi
}

# The token goes to curl through a file descriptor: arguments are for everybody to see.
rollcall_curl() {
	# shellcheck disable=SC2086
	printf 'header = "Authorization: Bearer %s"\n' "$ROLLCALL_TOKEN" |
		curl -sS -K - ${ROLLCALL_CA:+--cacert "$ROLLCALL_CA"} "$@"
}

# rollcall_send TYPE [SUBJECT] [DATA as JSON] [ID]
rollcall_send() {
	rollcall_body=$(printf '{"type":"%s","id":"%s"%s%s}' "$1" "${4:-$(rollcall_id)}" "${2:+,\"subject\":\"$2\"}" "${3:+,\"data\":$3}")
	rollcall_until=$(($(date +%s) + ${ROLLCALL_PATIENCE:-60}))
	rollcall_pause=1
	while :; do
		if rollcall_out=$(printf %s "$rollcall_body" | rollcall_post); then
			rollcall_status=${rollcall_out##*"
"}
			rollcall_out=$(printf %s "${rollcall_out%"
"*}")
			case $rollcall_status in
			2??) printf '%s\n' "$rollcall_out"; return 0 ;;
			429 | 502 | 503 | 504) ;;
			*) printf '%s\n' "$rollcall_out"; return 1 ;;
			esac
		fi
		if [ "$(date +%s)" -ge "$rollcall_until" ]; then
			printf '%s\n' "rollcall has not answered: $rollcall_out" >&2
			return 2
		fi
		sleep "$rollcall_pause"
		[ "$rollcall_pause" -ge 5 ] || rollcall_pause=$((rollcall_pause + 1))
	done
}

# rollcall_post sends what is on its input, and prints the answer and, on the last line, the status.
rollcall_post() {
	rollcall_in=$(cat)
	rollcall_curl -m 30 -H 'Content-Type: application/json' -w '\n%{http_code}' --data-binary "$rollcall_in" "$ROLLCALL_URL/v1/events" 2>&1
}

# rollcall_read [AFTER] [TYPES] [FOLLOW]: the events after a position, one JSON object a line, until it is
# stopped; with FOLLOW false to the end of the log.
rollcall_read() {
	rollcall_curl -N -H 'Accept: application/x-ndjson' -G -d "follow=${3:-true}" --data-urlencode "after=${1:-0}" ${2:+--data-urlencode "type=$2"} "$ROLLCALL_URL/v1/events"
}
