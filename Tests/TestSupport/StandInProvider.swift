import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Every provider at one address: records each call, and answers as the providers do or as a test has told it.
package final class StandInProvider: Sendable {
    package struct Call: Sendable, Equatable {
        package let method: String
        /// With its query.
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

    /// The settings that lead to it.
    package var settings: [String: String] {
        [
            "META_GRAPH_URL": url, "INSTAGRAM_GRAPH_URL": url + "/instagram", "META_GRAPH_VERSION": "v25.0",
            "X_API_URL": url, "LINKEDIN_API_URL": url, "LINKEDIN_OAUTH_URL": url, "LINKEDIN_VERSION": "202610",
        ]
    }

    /// In the order in which they came.
    package var calls: [Call] {
        process.log.split(separator: "\n").compactMap { line in
            guard let json = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],  // no call
                let method = json["method"] as? String, let path = json["path"] as? String,
                let headers = json["headers"] as? [String: String], let body = json["body"] as? String
            else { return nil }
            return Call(method: method, path: path, headers: headers, body: body)
        }
    }

    /// The next calls are answered so, each once, and those after them as ever. An answer is a JSON object of `status`,
    /// `headers`, `body` (JSON, or text as it is), `delay` in seconds, and `cut`, which closes the connection instead of answering.
    package func answer(_ answers: String...) async throws {
        guard let address = URL(string: url + "/the-next-answers") else { throw URLError(.badURL) }
        var request = URLRequest(url: address)
        request.httpMethod = "POST"
        request.httpBody = Data("[\(answers.joined(separator: ","))]".utf8)
        _ = try await URLSession.shared.data(for: request)
    }

    private static let program = """
        import http.server, itertools, json, sys, threading, time
        script, lock, numbers = [], threading.Lock(), itertools.count(1)
        def usual(path, body):
            number = next(numbers)
            if path.endswith("/token") or path.endswith("/accessToken"):
                return 200, {}, {"access_token": "access-%d" % number, "refresh_token": "refresh-%d" % number}
            if path == "/2/media/upload/initialize":
                return 200, {}, {"data": {"id": "77%d" % number, "media_key": "3_77%d" % number, "expires_after_secs": 86400}}
            if path.startswith("/2/media/upload"):
                return 200, {}, {"data": {"id": path.split("/")[-2]}}
            if path.endswith("/refresh_access_token"):
                return 200, {}, {"access_token": "access-%d" % number, "token_type": "bearer", "expires_in": 5183944}
            if "message_templates" in path or "/conversations" in path or "dm_events" in path:
                return 200, {}, {"data": []}
            if path.endswith("/comments"):
                post = body.get("object", "")
                urn = "urn:li:comment:(%s,%d)" % (post, 9000 + number)
                return 201, {"x-restli-id": str(9000 + number)}, {"id": str(9000 + number), "commentUrn": urn}
            if path.startswith("/2/dm_conversations/"):
                return 201, {}, {"data": {"dm_conversation_id": "1-2", "dm_event_id": str(1900000000000000000 + number)}}
            if body.get("messaging_product") == "whatsapp":
                to = body.get("to", "")
                contact = {"input": to, "wa_id": to.lstrip("+")} if to else {"user_id": body.get("recipient")}
                message = {"id": "wamid.STANDIN%d=" % number}
                return 200, {}, {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}
            if path.endswith("/messages"):
                return 200, {}, {"recipient_id": body["recipient"]["id"], "message_id": "mid.standin.%d" % number}
            return 404, {}, {"error": {"message": "Unknown path", "type": "GraphMethodException", "code": 100}}
        class Provider(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def respond(self):
                text = self.rfile.read(int(self.headers.get("content-length", 0))).decode(errors="replace")
                if self.path == "/the-next-answers":
                    with lock: script.extend(json.loads(text))
                    return self.write(200, {}, {})
                headers = {k.lower(): v for k, v in self.headers.items()}
                line = {"method": self.command, "path": self.path, "headers": headers, "body": text}
                sys.stdout.write(json.dumps(line) + "\\n")
                with lock: planned = script.pop(0) if script else None
                if planned is None:
                    try: body = json.loads(text)
                    except ValueError: body = {}
                    return self.write(*usual(self.path.split("?")[0], body))
                time.sleep(planned.get("delay", 0))
                if planned.get("cut"):
                    self.close_connection = True
                    return
                self.write(planned.get("status", 200), planned.get("headers", {}), planned.get("body", {}))
            do_POST = do_GET = respond
            def write(self, status, headers, body):
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                for name, value in headers.items(): self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            def log_message(self, *arguments): pass
        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True
        Server(("127.0.0.1", int(sys.argv[1])), Provider).serve_forever()
        """
}
