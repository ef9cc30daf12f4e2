#!/usr/bin/env python3
"""Makes holds of Alertmanager's alerts: while an alert fires, what it is about is not rolled out.

Alertmanager:  receivers: [{name: rollcall, webhook_configs: [{url: "http://127.0.0.1:9095/", send_resolved: true}]}]
An alert says what is held by its labels: namespace and daemonset, or namespace, or node.
A hold ends by itself two of Alertmanager's repeat_intervals after the last that was heard of it.
"""
import datetime, http.server, json, os, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))
from rollcall import Client, Refused

REPEAT = datetime.timedelta(hours=float(os.environ.get("REPEAT_INTERVAL_HOURS", "4")))


def event(client, alert):
    labels, name = alert["labels"], f"hold/{alert['fingerprint']}"
    if "daemonset" in labels:
        select = {"daemonSets": [f"{labels['namespace']}/{labels['daemonset']}"]}
    elif "namespace" in labels:
        select = {"namespaces": [labels["namespace"]]}
    elif "node" in labels:
        select = {"nodes": [labels["node"]]}
    else:
        return None
    if alert["status"] == "resolved":
        return client.event("hold.lifted", name, {})
    until = datetime.datetime.now(datetime.timezone.utc) + 2 * REPEAT
    reason = alert.get("annotations", {}).get("summary") or f"alert {labels.get('alertname', '')} fires"
    return client.event("hold.placed", name, {"reason": reason[:1024], "select": select, "until": until.isoformat()})


class Webhook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        status, text = 200, "taken\n"
        try:
            alerts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]
            if events := [e for a in alerts if (e := event(self.server.client, a))]:
                self.server.client.send_events(events)
        except Refused as e:  # 4xx: Alertmanager does not send it again
            status, text = 422, f"{e}\n"
        except (OSError, ValueError, KeyError, TypeError) as e:  # 5xx: it does
            status, text = 503 if isinstance(e, OSError) else 400, f"{type(e).__name__}: {e}\n"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9095"))), Webhook)
    server.client = Client(source="alertmanager", patience=20)
    print(f"listens on http://127.0.0.1:{server.server_address[1]}/", flush=True)
    server.serve_forever()
