import Foundation

/// Somebody else's file server, and Meta's look-up of files beside it; what it does follows from the path.
package final class MediaServer: Sendable {
    /// What `/media/…` and `/files/photo.jpg` are: a picture to whoever believes the content type.
    package static let photo = "\u{FFFD}a picture"
    /// The token that the look-up and `/media/…` ask for.
    package static let token = "0123456789abcdef"

    package let port: Int
    private let process = LockedProcess()
    private let held = NSTemporaryDirectory() + "media-held-\(UUID().uuidString)"

    package init() async throws {
        port = try FreePort.find()
        _ = FileManager.default.createFile(atPath: held, contents: nil)
        try process.start(
            executable: try TestServers.python,
            arguments: ["-u", "-c", Self.program, String(port), Self.token, Self.photo, held],
            environment: ["PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"]
        )
        try await process.listens(on: port)
    }

    deinit {
        process.kill()
        release()
    }

    package var url: String { "http://127.0.0.1:\(port)" }

    /// Lets `/files/held.jpg` come.
    package func release() { try? FileManager.default.removeItem(atPath: held) }  // released before

    /// The paths that were asked for, each with what proved who asks where that was sent.
    package var requests: [String] {
        process.log.split(separator: "\n").map(String.init).filter { $0.hasPrefix("GET ") }
    }

    private static let program = #"""
        import base64, hashlib, http.server, json, os, sys, time
        port, token, photo, held = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode(), sys.argv[4]
        seen = {}
        class Media(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def answer(self, status, body=b"", type="image/jpeg", headers=(), length=None):
                self.send_response(status)
                self.send_header("Content-Type", type)
                for name, value in headers: self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass
                if length is not None: self.close_connection = True
            def do_GET(self):
                given = self.headers.get("authorization", "")
                sys.stdout.write(f"GET {self.path} {given}".strip() + "\n")
                seen[self.path] = seen.get(self.path, 0) + 1
                name = self.path.split("?")[0].rsplit("/", 1)[1]
                if self.path.startswith("/v25.0/"):
                    if given != "Bearer " + token:
                        return self.answer(401, b'{"error": {"code": 190, "message": "expired"}}', "application/json")
                    if name == "gone":
                        return self.answer(400, b'{"error": {"code": 100, "message": "no such id"}}', "application/json")
                    if name == "flaky" and seen[self.path] == 1:
                        return self.answer(500, b"", "text/plain")
                    digest = hashlib.sha256(b"another" if name == "tampered" else photo).hexdigest()
                    size = len(photo) + 1 if name == "short" else (200 << 20) if name == "huge" else len(photo)
                    location = {"url": f"http://127.0.0.1:{port}/media/{name}", "mime_type": "image/jpeg", "sha256": digest,
                                "file_size": size, "id": name, "messaging_product": "whatsapp"}
                    return self.answer(200, json.dumps(location).replace("/", "\\/").encode(), "application/json")
                if self.path.startswith("/media/"):
                    return self.answer(200 if given == "Bearer " + token else 401, photo)
                if name == "held.jpg":
                    while os.path.exists(held): time.sleep(0.02)
                if name == "page": return self.answer(200, b"<script>alert(1)</script>", "text/html")
                if name == "page.svg": return self.answer(200, b"<svg/>", "image/svg+xml")
                if name == "missing": return self.answer(404, b"", "text/plain")
                if name == "busy": return self.answer(503, b"", "text/plain")
                if name == "redirect": return self.answer(302, headers=[("Location", "/files/photo.jpg")])
                if name == "inward": return self.answer(302, headers=[("Location", "http://10.0.0.1/photo.jpg")])
                if name == "circle": return self.answer(302, headers=[("Location", "/files/circle")])
                if name == "big": return self.answer(200, b"x", length=200 << 20)
                if name == "endless":
                    self.send_response(200)
                    self.send_header("Content-Type", "image/jpeg")
                    self.end_headers()
                    self.close_connection = True
                    try:
                        while True: self.wfile.write(b"x" * 65536)
                    except OSError:
                        return
                if name == "film.mp4": return self.answer(200, b"film" * (3 << 18), "video/mp4")
                if name == "letter.txt": return self.answer(200, b"hello, \xc3\xa4", "text/plain; charset=utf-8")
                self.answer(200, photo)
            def log_message(self, *arguments): pass
        http.server.ThreadingHTTPServer(("127.0.0.1", port), Media).serve_forever()
        """#
}
