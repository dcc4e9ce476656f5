import Foundation

/// A server of somebody else's that webhooks go to; it records what comes and answers by the path.
package final class WebhookReceiver: Sendable {
    package struct Request: Sendable, Equatable {
        package let path: String
        /// Names in lower case.
        package let headers: [String: String]
        package let body: String
    }

    package let port: Int
    private let process = LockedProcess()

    package init() async throws {
        port = try FreePort.find()
        try process.start(
            executable: try TestServers.python,
            arguments: ["-u", "-c", Self.program, String(port)],
            environment: ["PATH": "/usr/bin:/bin"]
        )
        try await process.listens(on: port)
    }

    deinit { process.kill() }

    package var url: String { "http://127.0.0.1:\(port)" }

    /// In the order in which they came.
    package var requests: [Request] {
        process.log.split(separator: "\n").compactMap { line in
            guard let json = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],  // no request
                let path = json["path"] as? String, let headers = json["headers"] as? [String: String],
                let body = json["body"] as? String
            else { return nil }
            return Request(path: path, headers: headers, body: body)
        }
    }

    /// `/ok` is 204, `/flaky` 500 the first time and then 200, `/fail` 500, `/gone` 410, `/redirect` 302, `/slow` an answer
    /// after 3 s.
    private static let program = """
        import http.server, json, sys, time
        seen = {}
        class Receiver(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                seen[self.path] = seen.get(self.path, 0) + 1
                line = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body.decode()}
                sys.stdout.write(json.dumps(line) + "\\n")
                if self.path == "/slow": time.sleep(3)
                flaky = 500 if seen[self.path] == 1 else 200
                status = {"/ok": 204, "/flaky": flaky, "/fail": 500, "/gone": 410, "/redirect": 302}.get(self.path, 200)
                self.send_response(status)
                if status == 302: self.send_header("Location", "/ok")
                self.send_header("Content-Length", "0")
                self.end_headers()
            def log_message(self, *arguments): pass
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
        """
}
