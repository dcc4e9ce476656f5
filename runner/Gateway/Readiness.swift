import Functions
import NIOCore
import NIOHTTP1

/// Asks every upstream whether it is ready, and makes one answer of theirs: everything that is away, and where an upstream
/// can't be asked, its name.
///
/// Unchecked: everything happens on one event loop.
final class Readiness: @unchecked Sendable {
    private let part: GatewayLoop
    private let isDraining: Bool
    private let done: (Answer) -> Void
    private var missing = 0
    private var away: [String] = []
    private var durability: String?

    init(of part: GatewayLoop, isDraining: Bool, done: @escaping (Answer) -> Void) {
        self.part = part
        self.isDraining = isDraining
        self.done = done
    }

    func ask() {
        missing = part.pools.count
        for pool in part.pools {
            ReadinessQuestion(pool, part) { [self] answer in
                note(answer, of: pool.upstream.name)
                missing -= 1
                if missing == 0 { done(result) }
            }.ask()
        }
    }

    private func note(_ answer: JSON?, of name: String) {
        guard let answer, let parts = answer["away"]?.array else { return away.append(name) }
        for part in parts.compactMap(\.string) where !away.contains(part) { away.append(part) }
        guard let told = answer["durability"]?.string else { return }
        if durability != "weak" { durability = told }
    }

    private var result: Answer {
        let all = (away + (isDraining ? ["draining"] : [])).sorted()
        var answer = Answer.object(status: all.isEmpty ? 200 : 503) {
            $0.member("status", all.isEmpty ? "ready" : "unavailable")
            $0.name("away")
            $0.array { for part in all { $0.string(part) } }
            if let durability { $0.member("durability", durability) }
        }
        if !all.isEmpty { answer.headers.append(("Retry-After", "1")) }
        return answer
    }
}

/// Unchecked: everything happens on one event loop.
private final class ReadinessQuestion: UpstreamUser, @unchecked Sendable {
    private let pool: UpstreamPool
    private let part: GatewayLoop
    private let done: (JSON?) -> Void
    private var connection: UpstreamConnection?
    private var body: [UInt8] = []
    private var keeps = false
    private(set) var isOver = false
    let due: NIODeadline? = NIODeadline.now() + .seconds(3)
    let hasRoom = true

    init(_ pool: UpstreamPool, _ part: GatewayLoop, done: @escaping (JSON?) -> Void) {
        self.pool = pool
        self.part = part
        self.done = done
    }

    func ask() {
        part.add(self)
        pool.acquire(self)
    }

    func connected(_ connection: UpstreamConnection) {
        self.connection = connection
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/ready", headers: ["Host": "localhost"])
        connection.send(.head(head))
        connection.send(.end(nil))
        connection.flush()
    }

    func received(_ part: HTTPClientResponsePart) {
        switch part {
        case .head(let head): keeps = head.isKeepAlive
        // Much longer than any answer of ours.
        case .body(let bytes): if body.count < 1 << 16 { body += bytes.readableBytesView }
        // What is no JSON is no answer either.
        case .end: end(try? JSON.parse(body), reusing: keeps)
        }
    }

    func unreachable() { end(nil) }
    func lost() { end(nil) }
    func expire() { end(nil) }
    func receivedAll() {}
    func upstreamHasRoom() {}

    private func end(_ answer: JSON?, reusing: Bool = false) {
        guard !isOver else { return }
        isOver = true
        part.remove(self)
        if let connection {
            if reusing { pool.release(connection) } else { connection.close() }
        }
        done(answer)
    }
}
