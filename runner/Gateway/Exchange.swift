import Functions
import Host
import Logging
import Manifest
import NIOCore
import NIOHTTP1

/// One request on its way to an upstream, and the answer on its way back, piece by piece in both directions.
///
/// It is sent once: what an upstream may have begun isn't tried a second time.
///
/// Unchecked: everything happens on the event loop of the caller's connection.
final class Exchange: UpstreamUser, @unchecked Sendable {
    /// How long the beginning of an answer may take that then has no end.
    private static let patienceWithoutEnd = TimeAmount.seconds(30)

    private unowned let caller: CallerConnection
    private let part: GatewayLoop
    private let route: Routing.Route
    private let head: HTTPRequestHead
    private let path: String
    private let requestId: String
    private let began = ContinuousClock.now

    private var connection: UpstreamConnection?
    /// What came before there was a connection.
    private var early: [HTTPClientRequestPart] = []
    private var limit: Int
    private var sent = 0
    /// The rest of the body is more than the function takes: the upstream says so, and is spared it.
    private var isCut: Bool
    private var isStarting = false
    private var isRequestSent = false
    private var hasAnswer = false
    private var upstreamKeeps = false
    private(set) var isOver = false
    private(set) var due: NIODeadline?

    /// Of `head` the upstream gets what is given here.
    init(
        _ route: Routing.Route,
        head: HTTPRequestHead,
        path: String,
        requestId: String,
        caller: CallerConnection,
        part: GatewayLoop
    ) {
        self.caller = caller
        self.part = part
        self.route = route
        self.head = head
        self.path = path
        self.requestId = requestId
        limit = route.bodyLimits.limit(for: head.headers.first(name: "Content-Type"))
        isCut = head.headers.first(name: "Content-Length").flatMap { Int($0) }.map { [limit] in $0 > limit } ?? false
    }

    /// Whether its answer may go on without end.
    var isEndless: Bool { route.timeout == nil }

    func start() {
        part.add(self)
        postpone()
        isStarting = true
        part.pools[route.upstream].acquire(self)
        isStarting = false
    }

    // MARK: From the caller

    /// Whether the caller should be read on.
    var takesMore: Bool { connection.map { $0.isWritable || isCut } ?? false }

    func send(_ body: ByteBuffer) {
        guard !isCut, !isOver else { return }
        sent += body.readableBytes
        // Of a body without a declared length the upstream gets what shows that it's too long.
        isCut = sent > limit
        postpone()
        deliver(.body(.byteBuffer(body)))
    }

    func sendEnd() {
        guard !isCut, !isOver else { return }
        isRequestSent = true
        postpone()
        deliver(.end(nil))
    }

    func flush() { connection?.flush() }

    private func deliver(_ part: HTTPClientRequestPart) {
        if let connection { connection.send(part) } else { early.append(part) }
    }

    /// The caller has taken some of the answer.
    func callerHasRoom() {
        postpone()
        connection?.resume()
    }

    /// The caller is gone.
    func abandon() {
        guard !isOver else { return }
        end(reusing: false)
    }

    /// Ends an answer without end in order, because this process ends.
    func finishEarly() {
        guard !isOver, hasAnswer else { return }
        end(reusing: false)
        caller.end()
    }

    // MARK: From the upstream

    var hasRoom: Bool { caller.isWritable }

    func connected(_ connection: UpstreamConnection) {
        self.connection = connection
        connection.send(.head(head))
        for part in early { connection.send(part) }
        early = []
        // Where the connection is there at once, the rest of what has come goes with the head.
        guard !isStarting else { return }
        connection.flush()
        caller.resume()
    }

    func unreachable() {
        refuse(.unavailable("What answers this is not there at the moment."))
    }

    func received(_ part: HTTPClientResponsePart) {
        guard !isOver else { return }
        postpone()
        switch part {
        case .head(let head) where head.status.code < 200:
            caller.inform(head)
        case .head(let head):
            hasAnswer = true
            upstreamKeeps = head.isKeepAlive
            self.part.core.metrics.request(
                route.name,
                status: Int(head.status.code),
                seconds: (ContinuousClock.now - began).seconds
            )
            caller.begin(head)
        case .body(let body):
            caller.write(body)
        case .end:
            end(reusing: isRequestSent && upstreamKeeps)
            caller.end()
        }
    }

    func receivedAll() { caller.flush() }

    func upstreamHasRoom() { caller.resume() }

    func lost() {
        guard !isOver else { return }
        connection = nil
        guard !hasAnswer else { return breakOff("an upstream ended in the middle of an answer") }
        refuse(Failure(status: 502, detail: "What was at work on this ended without an answer. It may have been done."))
    }

    func expire() {
        guard !isOver else { return }
        // A caller who takes the answer slowly is the host's to judge.
        guard !hasAnswer || caller.isWritable else { return postpone() }
        guard !hasAnswer else { return breakOff("an upstream stopped in the middle of an answer") }
        guard connection != nil else { return unreachable() }
        refuse(Failure(status: 504, detail: "What is at work on this has not answered in time. It may be done yet."))
    }

    // MARK: -

    /// It may take its time from now: the last that was heard of it, or that it was sent.
    private func postpone() {
        guard !isEndless || !hasAnswer else {
            due = nil
            return
        }
        due = NIODeadline.now() + (route.timeout ?? Self.patienceWithoutEnd) + part.core.grace
    }

    private func refuse(_ failure: Failure) {
        note("a request failed", status: failure.status)
        part.core.metrics.request(route.name, status: failure.status, seconds: (ContinuousClock.now - began).seconds)
        end(reusing: false)
        caller.answer(Problem.answer(failure, path: path, requestId: requestId))
    }

    private func breakOff(_ what: Logger.Message) {
        note(what, status: nil)
        end(reusing: false)
        caller.breakOff()
    }

    private func note(_ what: Logger.Message, status: Int?) {
        part.core.logger.warning(
            what,
            metadata: [
                "function": "\(route.name)", "request_id": "\(requestId)",
                "upstream": "\(part.core.upstreams[route.upstream].name)",
                "status": "\(status.map(String.init) ?? "-")",
            ]
        )
    }

    private func end(reusing: Bool) {
        isOver = true
        part.remove(self)
        guard let connection else { return }
        self.connection = nil
        if reusing { part.pools[route.upstream].release(connection) } else { connection.close() }
    }
}
