"""An S3 store as small as can be: objects in memory, each request's signature checked by botocore's own signer.

    s3_store.py PORT KEY SECRET REGION

Prints one JSON line for each request: {"method", "path", "status"}.
"""

import datetime
import http.server
import json
import sys
import urllib.parse

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

port, key, secret, region = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
credentials = Credentials(key, secret)
objects = {}


def signature(method, path, query, headers, signed, timestamp, payload, auth):
    """What botocore signs the same request with."""
    request = AWSRequest(method=method, url=f"http://{headers['host']}{path}", params=None)
    for name in signed:
        request.headers[name] = headers[name]
    request.context["timestamp"] = timestamp
    request.context["signing"] = {}
    signed_headers = "\n".join(f"{name}:{headers[name].strip()}" for name in sorted(signed))
    parameters = sorted(
        (urllib.parse.quote(name, safe="-_.~"), urllib.parse.quote(value, safe="-_.~"))
        for name, value in query
    )
    canonical = "\n".join([
        method, auth._normalize_url_path(path), "&".join(f"{name}={value}" for name, value in parameters),
        signed_headers + "\n", ";".join(sorted(signed)), payload,
    ])
    return auth.signature(auth.string_to_sign(request, canonical), request)


class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def proven(self, body):
        parts = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "authorization" in headers:
            fields = dict(
                field.strip().split("=", 1) for field in headers["authorization"].split(" ", 1)[1].split(",")
            )
            timestamp, payload = headers["x-amz-date"], headers["x-amz-content-sha256"]
            import hashlib
            if hashlib.sha256(body).hexdigest() != payload:
                return False
            auth, given = S3SigV4Auth(credentials, "s3", region), fields["Signature"]
            signed, credential = fields["SignedHeaders"].split(";"), fields["Credential"]
        else:
            values = dict(query)
            timestamp, payload, given = values["X-Amz-Date"], "UNSIGNED-PAYLOAD", values["X-Amz-Signature"]
            made = datetime.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ")
            age = (datetime.datetime.utcnow() - made).total_seconds()
            if age > int(values["X-Amz-Expires"]) or age < -60:
                return False
            auth = S3SigV4QueryAuth(credentials, "s3", region)
            signed, credential = values["X-Amz-SignedHeaders"].split(";"), values["X-Amz-Credential"]
            query = [(name, value) for name, value in query if name != "X-Amz-Signature"]
        if credential != f"{key}/{timestamp[:8]}/{region}/s3/aws4_request" or "host" not in signed:
            return False
        return given == signature(self.command, parts.path, query, headers, signed, timestamp, payload, auth)

    def answer(self, status, body=b"", headers=()):
        sys.stdout.write(json.dumps({"method": self.command, "path": self.path, "status": status}) + "\n")
        sys.stdout.flush()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.proven(body):
            return self.answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        parts = urllib.parse.urlsplit(self.path)
        if self.command == "PUT":
            objects[parts.path] = body
            return self.answer(200)
        if self.command == "DELETE":
            objects.pop(parts.path, None)
            return self.answer(204)
        if parts.path not in objects:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        wanted = dict(urllib.parse.parse_qsl(parts.query))
        headers = [
            (name.removeprefix("response-"), value) for name, value in wanted.items() if name.startswith("response-")
        ]
        return self.answer(200, objects[parts.path], headers)

    do_GET = do_PUT = do_DELETE = handle_request

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Store).serve_forever()
