"""A receiver in some twenty lines: who sends, that nothing was changed on the way, that generations rise.

    python3 receiver.py 127.0.0.1:8080 hmac-key

It takes PUT alone, and holds the newest snapshot of each inventory; what ends TLS stands before it. receiver.go does the rest.
"""
import base64, hashlib, hmac, http.server, re, sys, time

(host, port), key, held = sys.argv[1].rsplit(":", 1), open(sys.argv[2], "rb").read().strip(), {}

class Receiver(http.server.BaseHTTPRequestHandler):
    timeout = 60
    def do_PUT(self):
        h, (path, _, query) = self.headers, self.path.partition("?")
        params = h.get("Signature-Input", "").removeprefix("kollect=")
        created = re.search(r";created=(\d{1,12})", params) or (0, 0)
        signed = re.findall(r'"([^"]+)"', params.split(")")[0])
        needed = {"@method", "@path", "@query", "content-digest", *(n.lower() for n in h if re.match("kollect-|idempotency-key$", n, re.I))}
        values = {"@method": self.command, "@path": path, "@query": "?" + query}
        base = "".join(f'"{c}": {values.get(c) or h.get(c, "")}\n' for c in signed) + f'"@signature-params": {params}'
        mac = base64.b64encode(hmac.digest(key, base.encode("latin-1"), "sha256"))
        body = self.rfile.read(min(int(h.get("Content-Length", 0)), 256 << 20))
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        name = h["Kollect-Cluster"], h["Kollect-Namespace"], h["Kollect-Inventory"]
        got = int(h["Kollect-Generation"] or 0), h["Idempotency-Key"], digest
        last = held.get(name, (0, "", "", b""))
        status = (401 if not hmac.compare_digest(b"kollect=:%b:" % mac, h.get("Signature", "").encode("latin-1"))
                  or not needed <= set(signed) or abs(int(created[1]) - time.time()) > 300
                  else 400 if h["Content-Digest"] != f"sha-256=:{digest}:" else 409 if got[0] <= last[0] and got != last[:3] else 204)
        if status == 204:
            held[name] = (*got, body)
        self.send_response(status), self.end_headers()

http.server.HTTPServer((host, int(port)), Receiver).serve_forever()
