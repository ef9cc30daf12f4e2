"""Tell rollcall what you know, and read what it says: one file, nothing but Python's own library.

    from rollcall import Client
    c = Client()                                  # ROLLCALL_URL, ROLLCALL_TOKEN, ROLLCALL_CA
    print(c.send("node.observed", "node/n-17", {"labels": {"zone": "a"}}))
    for e in c.read(type="node.*"): print(e["seq"], e["type"], e.get("subject"))

An event has its id before it is sent for the first time, so that it is in the
log once, however often it has to be sent.
"""
import json, os, ssl, time, urllib.error, urllib.parse, urllib.request, uuid


class Refused(Exception):
    """What the gate says of an event that it does not take: RFC 9457 in `problem`."""

    def __init__(self, problem):
        self.problem = problem
        where = "".join(f"; {e.get('pointer', '')}: expected {e.get('expected', '')}, got {e.get('got', '')}" for e in problem.get("errors") or [])
        super().__init__((problem.get("detail") or problem.get("title") or "refused") + where)


class Client:
    """A client may be used by several threads. `patience` (seconds) bounds how long one send tries."""

    def __init__(self, url=None, token=None, ca=None, source=None, patience=60.0):
        self.url = (url or os.environ["ROLLCALL_URL"]).rstrip("/")
        self.token = token or os.environ["ROLLCALL_TOKEN"]
        ca = ca or os.environ.get("ROLLCALL_CA")
        self.tls = ssl.create_default_context(cafile=ca) if self.url.startswith("https") else None
        self.source, self.patience = source, patience

    def event(self, type, subject=None, data=None, **more):
        """Returns an event that can be sent, also again: it has an id."""
        e = {"type": type, "id": str(uuid.uuid4()), **more}
        if subject:
            e["subject"] = subject
        if self.source:
            e.setdefault("source", self.source)
        if data is not None:
            e["data"] = data
        return e

    def send(self, type, subject=None, data=None, **more):
        """Tells one event and returns the answer: accepted, seq, id, duplicate, warnings."""
        return self.send_events([self.event(type, subject, data, **more)])[0]

    def send_events(self, events, atomic=False):
        """Tells events in order and returns an answer for each. Raises Refused for the first
        that was refused; `answers` of the exception has all of them."""
        one = len(events) == 1
        body = json.dumps(events[0] if one else events).encode()
        answer = self._post("/v1/events" + ("?atomic=true" if atomic else ""), body)
        answers = [answer] if one else answer.get("results", [answer])
        for a in answers:
            if not a.get("accepted"):
                refused = Refused(a)
                refused.answers = answers
                raise refused
        return answers

    def _post(self, path, body):
        until, pause = time.monotonic() + self.patience, 0.1
        while True:
            wait = pause
            try:
                with self._open(path, body, {"Content-Type": "application/json"}, 30) as r:
                    return json.load(r)
            except urllib.error.HTTPError as e:
                text = e.read()
                if e.code not in (429, 502, 503, 504):
                    try:
                        return json.loads(text)
                    except ValueError:
                        return {"status": e.code, "title": e.reason, "detail": text.decode("utf-8", "replace")[:200]}
                if time.monotonic() > until:
                    raise
                wait = max(pause, float(e.headers.get("Retry-After") or 0))
            except (urllib.error.URLError, ConnectionError, TimeoutError, ssl.SSLEOFError, ValueError) as e:
                if isinstance(getattr(e, "reason", None), ssl.SSLCertVerificationError) or time.monotonic() > until:
                    raise
            time.sleep(wait)
            pause = min(pause * 2, 5.0)

    def read(self, after=0, type=None, follow=True):
        """Yields the events after a position, and with follow those to come; goes on by itself
        where a connection ended."""
        pause = 0.1
        while True:
            query = {"after": after, "follow": str(follow).lower(), **({"type": type} if type else {})}
            try:
                with self._open("/v1/events?" + urllib.parse.urlencode(query), None, {"Accept": "application/x-ndjson"}, 90) as r:
                    for line in r:
                        if line.strip():
                            e = json.loads(line)
                            yield e
                            after, pause = e.get("seq", after), 0.1
                if not follow:
                    return
            except urllib.error.HTTPError as e:
                if e.code not in (429, 502, 503, 504):
                    raise Refused(json.loads(e.read() or b"{}")) from None
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _open(self, path, body, headers, timeout):
        request = urllib.request.Request(self.url + path, data=body, headers={"Authorization": "Bearer " + self.token, **headers})
        return urllib.request.urlopen(request, timeout=timeout, context=self.tls)
