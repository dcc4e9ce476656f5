import Foundation
import TestSupport
import Testing

@testable import Gateway

/// The gateway in front of processes that do what the test says.
@Suite struct GatewayTests {
    // MARK: What goes on

    @Test func handsOnARequestWithoutWhatIsAboutItsConnection() async throws {
        let upstream = ScriptedUpstream { peer, upstream in
            upstream.note(try peer.message())
            try peer.write(
                "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
                    + "Keep-Alive: timeout=5\r\nX-Kept: 2\r\n\r\nthing"
            )
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let answer = try await blocking {
            let caller = try gateway.connect()
            try caller.write(
                "POST /things?a=b%20c HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nConnection: close, X-Mine\r\n"
                    + "X-Mine: 1\r\nTE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: 1\r\nProxy-Authorization: x\r\n"
                    + "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\n"
                    + "X-Request-Id: r-1\r\nX-Forwarded-For: 8.8.8.8\r\n\r\nbody"
            )
            return try caller.message()
        }

        let request = try #require(upstream.requests.first)
        #expect(request.start == "POST /things?a=b%20c HTTP/1.1")
        #expect(
            request.headers == [
                "Host: example.com", "Content-Length: 4", "X-Request-Id: r-1",
                "X-Forwarded-For: 9.9.9.9, 8.8.8.8, 127.0.0.1", "X-Forwarded-Proto: http",
                "X-Forwarded-Host: example.com",
            ]
        )
        #expect(request.text == "body")
        #expect(answer.start == "HTTP/1.1 201 Created")
        #expect(answer.headers == ["Content-Length: 5", "X-Kept: 2", "Connection: close"])
        #expect(answer.text == "thing")
    }

    @Test func believesWhatATrustedProxySaysOfTheCaller() async throws {
        let upstream = ScriptedUpstream(answering: "ok")
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path) { $0.trustedProxies = "127.0.0.0/8" }

        _ = try await blocking {
            let caller = try gateway.connect()
            try caller.write(
                "GET /things HTTP/1.1\r\nHost: inside\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Host: example.com\r\n"
                    + "X-Forwarded-Proto: https\r\nX-Request-Id: no good\r\n\r\n"
            )
            return try caller.message()
        }

        let request = try #require(upstream.requests.first)
        #expect(request.header("X-Forwarded-For") == "9.9.9.9, 127.0.0.1")
        #expect(request.header("X-Forwarded-Proto") == "https")
        #expect(request.header("X-Forwarded-Host") == "example.com")
        #expect(request.header("X-Request-Id")?.count == 36)
    }

    @Test func choosesTheUpstreamByTheManifest() async throws {
        let (things, others) = (ScriptedUpstream(answering: "thing"), ScriptedUpstream(answering: "other"))
        defer {
            things.stop()
            others.stop()
        }
        let gateway = try await TrialGateway(things: things.path, others: others.path)

        let answers = try await blocking {
            let caller = try gateway.connect()
            // All at once: they are answered one after another, in this order.
            try caller.write(
                "GET /things HTTP/1.1\r\nHost: a\r\n\r\nGET /others HTTP/1.1\r\nHost: a\r\n\r\n"
                    + "POST /things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
                    + "HEAD /others HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n"
            )
            return [
                try caller.message(), try caller.message(), try caller.message(), try caller.message(isHead: true),
                try caller.message(),
            ]
        }

        #expect(answers.map(\.status) == [200, 200, 200, 200, 200])
        #expect(answers.map(\.text) == ["thing", "other", "thing", "", #"{"status":"ok"}"#])
        #expect(answers[3].header("Content-Length") == "5")
        #expect(things.requests.map(\.text) == ["", "ab"])
        #expect(others.requests.map(\.start) == ["GET /others HTTP/1.1", "HEAD /others HTTP/1.1"])
    }

    @Test(arguments: [
        ("GET /nothing", 404, nil), ("GET /things/not-an-id", 404, nil),
        ("PUT /things", 405, "GET, HEAD, OPTIONS, POST"),
        ("OPTIONS /things", 204, "GET, HEAD, OPTIONS, POST"), ("POST /health", 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS /ready", 204, "GET, HEAD, OPTIONS"),
    ])
    func answersWhatNoFunctionDoesAsAHostWould(line: String, status: Int, allow: String?) async throws {
        let upstream = ScriptedUpstream(answering: "ok")
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path) { $0.corsOrigins = "https://app.example" }

        let answer = try await blocking {
            let caller = try gateway.connect()
            try caller.write(
                "\(line) HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-7\r\nOrigin: https://app.example\r\nContent-Length: 2\r\n\r\nxx"
            )
            return try caller.message()
        }

        #expect(answer.status == status)
        #expect(answer.header("Allow") == allow)
        #expect(answer.header("X-Request-Id") == "r-7")
        #expect(answer.header("Access-Control-Allow-Origin") == "https://app.example")
        if status != 204 {
            #expect(answer.header("Content-Type") == "application/problem+json")
            #expect(answer.text.contains(#""requestId":"r-7""#))
        }
        #expect(upstream.connections == 0)
    }

    // MARK: Streaming

    @Test func handsOnEachPieceOfAnAnswerAsItComes() async throws {
        let gate = Gate()
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.message()
            try peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            gate.wait()
            try peer.write("3\r\ntwo\r\n0\r\n\r\n")
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let pieces = try await blocking {
            let caller = try gateway.connect()
            try caller.write("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try caller.readHead()
            let first = try caller.chunk()
            gate.open()
            return [first, try caller.chunk(), try caller.chunk()]
        }

        #expect(pieces == [Array("one".utf8), Array("two".utf8), nil])
    }

    @Test func handsOnEachPieceOfARequestAsItComes() async throws {
        let gate = Gate()
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.readHead()
            _ = try peer.read(3)
            gate.open()
            _ = try peer.read(3)
            try peer.write("HTTP/1.1 204 No Content\r\n\r\n")
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let answer = try await blocking {
            let caller = try gateway.connect()
            try caller.write("POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\none")
            gate.wait()
            try caller.write("two")
            return try caller.message(isHead: true)
        }

        #expect(answer.status == 204)
    }

    @Test func readsNoMoreOfAnUploadThanItsUpstreamTakes() async throws {
        let (gate, size) = (Gate(), 64 << 20)
        let upstream = ScriptedUpstream { peer, upstream in
            _ = try peer.readHead()
            gate.wait()
            for _ in 0..<(size >> 16) { _ = try peer.read(1 << 16) }
            try peer.write("HTTP/1.1 204 No Content\r\n\r\n")
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path) { $0.grace = .seconds(60) }

        let (taken, answer) = try await blocking {
            let caller = try gateway.connect()
            try caller.write("POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n")
            let taken = caller.writeUntilBlocked(size)
            gate.open()
            try caller.write([UInt8](repeating: 0x78, count: size - taken))
            return (taken, try caller.message(isHead: true))
        }

        // What the kernel's buffers of both connections hold, and a little of the gateway's.
        #expect(taken < 24 << 20)
        #expect(answer.status == 204)
    }

    @Test func readsNoMoreOfAnAnswerThanItsCallerTakes() async throws {
        let (gate, size, taken) = (Gate(), 64 << 20, LockedBox(0))
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.message()
            try peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            let count = peer.writeUntilBlocked(size)
            taken.set(count)
            gate.open()
            try peer.write([UInt8](repeating: 0x78, count: size - count))
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path) { $0.grace = .seconds(60) }

        let received = try await blocking {
            let caller = try gateway.connect()
            try caller.write("GET /things HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            gate.wait()
            _ = try caller.readHead()
            return caller.countToEnd()
        }

        #expect(taken.get() < 24 << 20)
        #expect(received == size)
    }

    @Test func handsOnTheWordToGoOn() async throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.readHead()
            try peer.write("HTTP/1.1 100 Continue\r\n\r\n")
            _ = try peer.read(2)
            try peer.write("HTTP/1.1 204 No Content\r\n\r\n")
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let answers = try await blocking {
            let caller = try gateway.connect()
            try caller.write("POST /things HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            let first = try caller.message(isHead: true)
            try caller.write("xx")
            return [first, try caller.message(isHead: true)]
        }

        #expect(answers.map(\.status) == [100, 204])
    }

    // MARK: Limits

    @Test(arguments: [true, false])
    func sparesAnUpstreamABodyOverTheLimit(isDeclared: Bool) async throws {
        let seen = LockedBox(0)
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.readHead()
            if !isDeclared { while seen.get() <= 1024 { seen.set(seen.get() + (try peer.chunk()?.count ?? 0)) } }
            try peer.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            seen.set(seen.get() + peer.countToEnd())
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let answers = try await blocking {
            let caller = try gateway.connect()
            let block = String(repeating: "x", count: 1000)
            if isDeclared {
                try caller.write("POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
                for _ in 0..<1000 { try caller.write(block) }
            } else {
                try caller.write("POST /notes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in 0..<1000 { try caller.write("3e8\r\n\(block)\r\n") }
                try caller.write("0\r\n\r\n")
            }
            // The rest of the body was thrown away: the connection can be used again.
            let refused = try caller.message()
            try caller.write("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            return [refused, try caller.message()]
        }

        #expect(answers.map(\.status) == [413, 200])
        // A piece is as long as what the gateway reads at once.
        _ = try await eventually { upstream.connections == 1 && seen.get() < 300_000 ? true : nil }
    }

    // MARK: Connections

    @Test func usesAConnectionAgainUnlessItsUpstreamCloses() async throws {
        let upstream = ScriptedUpstream { peer, upstream in
            for number in 1...3 {
                upstream.note(try peer.message())
                try peer.write("HTTP/1.1 204 No Content\r\n\(number == 3 ? "Connection: close\r\n" : "")\r\n")
            }
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let answers = try await blocking {
            let caller = try gateway.connect()
            return try (0..<6).map { _ in
                try caller.write("GET /things HTTP/1.1\r\nHost: a\r\n\r\n")
                return try caller.message(isHead: true)
            }
        }

        #expect(answers.map(\.status) == [204, 204, 204, 204, 204, 204])
        #expect(answers.allSatisfy { $0.header("Connection") == nil })
        #expect(upstream.connections == 2)
    }

    @Test func closesAConnectionThatWasIdleBeforeItsUpstreamMay() async throws {
        let closed = Gate()
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.message()
            try peer.write("HTTP/1.1 204 No Content\r\n\r\n")
            _ = peer.countToEnd()
            closed.open()
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)
        let began = ContinuousClock.now

        _ = try await blocking {
            let caller = try gateway.connect()
            try caller.write("GET /things HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try caller.message(isHead: true)
            closed.wait()
        }

        #expect(ContinuousClock.now - began < .seconds(30))
    }

    // MARK: Faults

    @Test func tellsOfAnUpstreamThatEndsWithoutAnAnswerAndAsksNoOther() async throws {
        let upstream = ScriptedUpstream { peer, upstream in upstream.note(try peer.message()) }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let answers = try await blocking {
            let caller = try gateway.connect()
            try caller.write("GET /things HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-502\r\n\r\n")
            let fault = try caller.message()
            try caller.write("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            return [fault, try caller.message()]
        }

        #expect(answers.map(\.status) == [502, 200])
        #expect(answers[0].header("Content-Type") == "application/problem+json")
        #expect(answers[0].text.contains(#""requestId":"r-502""#))
        #expect(answers[0].text.contains(#""title":"Bad Gateway""#))
        #expect(upstream.requests.count == 1)
    }

    @Test func cutsOffAnAnswerThatItsUpstreamDoesNotEnd() async throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.message()
            try peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let (first, second) = try await blocking {
            let caller = try gateway.connect()
            try caller.write("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try caller.readHead()
            let first = try caller.chunk()
            return (first, Result { try caller.chunk() })
        }

        #expect(first == Array("one".utf8))
        #expect(throws: RawConnection.Failure.self) { try second.get() }
    }

    @Test func waitsForAnUpstreamThatIsNotThereYet() async throws {
        let path = ScriptedUpstream.freePath()
        let gateway = try await TrialGateway(things: path) { $0.patience = .seconds(30) }
        let asked = Gate()

        async let answers = blocking {
            let callers = try (0..<8).map { _ in try gateway.connect() }
            for caller in callers { try caller.write("POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx") }
            asked.open()
            return try callers.map { try $0.message() }
        }
        try await blocking { asked.wait() }
        // A few attempts must have failed.
        try await Task.sleep(for: .milliseconds(200))
        let upstream = ScriptedUpstream(path: path, answering: "there")
        defer { upstream.stop() }

        #expect(try await answers.map(\.text) == Array(repeating: "there", count: 8))
        #expect(upstream.requests.count == 8)
    }

    @Test func refusesAtOnceWhileTheCircuitIsOpenAndComesBackByItself() async throws {
        let path = ScriptedUpstream.freePath()
        let gateway = try await TrialGateway(things: path) { $0.patience = .milliseconds(300) }
        @Sendable func ask() throws -> RawConnection.Message {
            let caller = try gateway.connect()
            try caller.write("GET /things HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-503\r\n\r\n")
            return try caller.message()
        }

        let refused = try await blocking { try ask() }
        let metrics = try await blocking {
            let caller = try gateway.connect()
            try caller.write("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            return try caller.message()
        }
        let upstream = ScriptedUpstream(path: path, answering: "there")
        defer { upstream.stop() }
        let answer = try await eventually(within: .seconds(30)) {
            let answer = try await blocking { try ask() }
            return answer.status == 200 ? answer : nil
        }

        #expect(refused.status == 503)
        #expect(refused.header("Retry-After") == "1")
        #expect(refused.text.contains(#""requestId":"r-503""#))
        #expect(metrics.text.contains(#"delightchat_gateway_circuit_open{upstream="things"} 1.0"#))
        #expect(metrics.text.contains(#"delightchat_requests_total{function="list-things",status="503"} 1"#))
        #expect(answer.text == "there")
    }

    @Test func tellsOfAnUpstreamThatTakesLongerThanItsFunctionMay() async throws {
        let closed = Gate()
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.message()
            _ = peer.countToEnd()
            closed.open()
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let answer = try await blocking {
            let caller = try gateway.connect()
            try caller.write("GET /slow HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-504\r\n\r\n")
            let answer = try caller.message()
            // So the upstream learns that nobody waits any more.
            closed.wait()
            return answer
        }

        #expect(answer.status == 504)
        #expect(answer.text.contains(#""requestId":"r-504""#))
    }

    @Test func tellsAnUpstreamThatItsCallerIsGone() async throws {
        let closed = Gate()
        let upstream = ScriptedUpstream { peer, _ in
            _ = try peer.readHead()
            _ = peer.countToEnd()
            closed.open()
        }
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        try await blocking {
            var caller: RawConnection? = try gateway.connect()
            try caller?.write("POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
            caller = nil
            closed.wait()
        }

        #expect(upstream.connections == 1)
    }

    @Test func refusesWhatIsNoRequest() async throws {
        let gateway = try await TrialGateway(things: ScriptedUpstream.freePath())

        let answer = try await blocking {
            let caller = try gateway.connect()
            try caller.write("what is this\r\n\r\n")
            return try caller.message()
        }

        #expect(answer.status == 400)
        #expect(answer.header("Connection") == "close")
    }

    @Test func answersACallerWhoHasEndedWriting() async throws {
        let upstream = ScriptedUpstream(answering: "ok")
        defer { upstream.stop() }
        let gateway = try await TrialGateway(things: upstream.path)

        let (answer, rest) = try await blocking {
            let caller = try gateway.connect()
            try caller.write("GET /things HTTP/1.0\r\n\r\n")
            caller.endWriting()
            return (try caller.message(), caller.countToEnd())
        }

        #expect(answer.text == "ok")
        #expect(rest == 0)
    }

    // MARK: Its own pages

    @Test func isReadyWhenAllUpstreamsAre() async throws {
        func upstream(_ body: String) -> ScriptedUpstream { ScriptedUpstream(answering: body) }
        let strong = upstream(#"{"status":"ready","away":[],"durability":"strong"}"#)
        let weak = upstream(#"{"status":"unavailable","away":["postgres"],"durability":"weak"}"#)
        defer {
            strong.stop()
            weak.stop()
        }
        func ready(_ things: String, _ others: String) async throws -> RawConnection.Message {
            let gateway = try await TrialGateway(things: things, others: others)
            return try await blocking {
                let caller = try gateway.connect()
                try caller.write("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
                return try caller.message()
            }
        }

        let all = try await ready(strong.path, strong.path)
        let some = try await ready(strong.path, weak.path)
        let none = try await ready(strong.path, ScriptedUpstream.freePath())

        #expect(all.status == 200)
        #expect(all.text == #"{"status":"ready","away":[],"durability":"strong"}"#)
        #expect(some.status == 503)
        #expect(some.text == #"{"status":"unavailable","away":["postgres"],"durability":"weak"}"#)
        #expect(none.status == 503)
        #expect(none.text == #"{"status":"unavailable","away":["others"],"durability":"strong"}"#)
    }

    @Test func refusesToBeWithoutAnUpstreamForEveryEndpoint() async throws {
        await #expect(throws: GatewayFault.self) {
            try await TrialGateway(things: "/tmp/a") { $0.upstreams.removeLast() }
        }
    }
}

@Suite struct UpstreamAddressTests {
    @Test(
        arguments: [
            ("unix:/run/a.sock", .socket("/run/a.sock")), ("unix:///run/a.sock", .socket("/run/a.sock")),
            ("http://api:3000", .host("api", port: 3000)), ("http://api/", .host("api", port: 80)),
            ("http://[::1]:3000", .host("::1", port: 3000)), ("https://api", nil), ("http://api/path", nil),
            ("api", nil),
        ] as [(String, UpstreamAddress?)]
    )
    func readsSocketsAndHosts(text: String, address: UpstreamAddress?) {
        #expect(UpstreamAddress(text) == address)
    }
}

/// A value that several threads use.
final class LockedBox<Value: Sendable>: @unchecked Sendable {
    // The lock guards the value.
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func get() -> Value { lock.withLock { value } }
    func set(_ value: Value) { lock.withLock { self.value = value } }
}
