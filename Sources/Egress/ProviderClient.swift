import AsyncHTTPClient
import Foundation
package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A provider's answer to a call.
package struct ProviderAnswer: Sendable {
    package let status: Int
    /// Names in lower case.
    package let headers: [(name: String, value: String)]
    /// Whole, or as much of it as came where the connection broke behind a status that says no.
    package let body: [UInt8]

    package init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first header of a name in lower case.
    package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Why a call has no answer: what may be done about it depends on whether the provider can have taken it in.
package enum CallFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// It didn't leave: there was no connection, or none in time. Calling again is safe.
    case unsent(String)
    /// Some or all of it was handed over; the provider may have acted on it or not.
    case unanswered(String)

    package var description: String {
        switch self {
        case .unsent(let reason): "the provider could not be reached: \(reason)"
        case .unanswered(let reason): "the provider's answer did not come: \(reason)"
        }
    }
}

/// Calls providers at the addresses that the operator has set, which may be anywhere; never at an address that a tenant or
/// an answer gave.
///
/// Redirects are not followed. An answer is bounded in size, and a call in time.
package final class ProviderClient: Sendable {
    /// The longest that a call takes, from asking for a connection to the last byte of the answer.
    package static let limit = Duration.seconds(12)
    private static let connectLimit = TimeAmount.seconds(5)
    /// Bytes of an answer that are read.
    private static let mostBytes = 1 << 20

    private let client: HTTPClient
    private let logger: Logger
    private let overdue = OverdueCalls()

    package init(logger: Logger) {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.httpVersion = .http1Only
        configuration.timeout.connect = Self.connectLimit
        // Shorter than servers keep a connection (5 s is the shortest that is common): one that is closed while a message is
        // written on it leaves nobody knowing whether the message was taken.
        configuration.connectionPool.idleTimeout = .seconds(4)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
        self.logger = logger
    }

    package func send(_ request: OutgoingRequest) async throws(CallFault) -> ProviderAnswer {
        let mark = Mark()
        // The client's own deadline ends with the answer's head; the body has to come in time, too.
        let call = Task { await perform(request, mark) }
        let number = overdue.watch(until: .now() + Self.amount(request.timeout)) { call.cancel() }
        let result = await withTaskCancellationHandler {
            await call.value
        } onCancel: {
            call.cancel()
        }
        overdue.forget(number)
        return try result.get()
    }

    private static func amount(_ timeout: Duration) -> TimeAmount {
        .milliseconds(Int64(min(timeout, limit) / .milliseconds(1)))
    }

    private func perform(_ request: OutgoingRequest, _ mark: Mark) async -> Result<ProviderAnswer, CallFault> {
        var outgoing = HTTPClientRequest(url: request.url)
        outgoing.method = HTTPMethod(rawValue: request.method)
        for header in request.headers { outgoing.headers.add(name: header.name, value: header.value) }
        if request.body.isEmpty {
            // Nothing tells when a head alone has left: as good as handed over from the start.
            mark.set()
        } else {
            let length = HTTPClientRequest.Body.Length.known(Int64(request.body.count))
            outgoing.body =
                request.body.count <= Self.mostBytes
                ? .bytes(MarkedBytes(bytes: request.body, mark: mark), length: length)
                : .stream(MarkedBody(bytes: request.body, mark: mark), length: length)
        }
        let answer: HTTPClientResponse
        do {
            answer = try await client.execute(outgoing, timeout: Self.amount(request.timeout), logger: logger)
        } catch {
            return .failure(mark.fault(Self.reason(error)))
        }
        let status = Int(answer.status.code)
        var body: [UInt8] = []
        do {
            for try await chunk in answer.body {
                body.append(contentsOf: chunk.readableBytesView)
                if body.count > Self.mostBytes { break }
            }
        } catch {
            // A yes whose rest is missing has no id of what was made; a no is a no.
            if status < 400 { return .failure(.unanswered(Self.reason(error))) }
        }
        guard body.count <= Self.mostBytes else { return .failure(.unanswered("the answer is longer than 1 MiB")) }
        return .success(
            ProviderAnswer(
                status: status,
                headers: answer.headers.map { ($0.name.lowercased(), $0.value) },
                body: body
            )
        )
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as HTTPClientError where error == .deadlineExceeded: "there was no answer in time"
        case let error as HTTPClientError where error == .connectTimeout: "the connection took too long"
        // By whom else, nobody is told.
        case is CancellationError: "there was no answer in time"
        case let error as HTTPClientError: error.shortDescription
        default: String(describing: error)
        }
    }

    deinit {
        // It must be shut down before it goes; it is kept until it is.
        client.shutdown { _ in }
    }
}

/// That a request's body is on its way.
private final class Mark: Sendable {
    private let state = Mutex(false)

    func set() { state.withLock { $0 = true } }

    func fault(_ reason: String) -> CallFault { state.withLock { $0 } ? .unanswered(reason) : .unsent(reason) }
}

/// The bytes of a body that tell when they are first asked for, which is once the request's head is on its way.
private struct MarkedBytes: Collection, Sendable {
    let bytes: [UInt8]
    let mark: Mark

    var startIndex: Int { bytes.startIndex }
    var endIndex: Int { bytes.endIndex }
    func index(after index: Int) -> Int { index + 1 }
    subscript(index: Int) -> UInt8 { bytes[index] }

    func withContiguousStorageIfAvailable<R>(_ body: (UnsafeBufferPointer<UInt8>) throws -> R) rethrows -> R? {
        mark.set()
        return try bytes.withContiguousStorageIfAvailable(body)
    }
}

/// A body that is handed over piece by piece, and tells when it is first asked for, as ``MarkedBytes`` do: without the body no server
/// can act on the request.
private struct MarkedBody: AsyncSequence, Sendable {
    let bytes: [UInt8]
    let mark: Mark

    struct Iterator: AsyncIteratorProtocol {
        var rest: [UInt8]?
        let mark: Mark

        mutating func next() async throws -> ByteBuffer? {
            guard let bytes = rest else { return nil }
            mark.set()
            rest = nil
            return ByteBuffer(bytes: bytes)
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(rest: bytes, mark: mark) }
}

/// Calls with the time by which they must be over: one timer for all, since most are over long before.
private final class OverdueCalls: Sendable {
    private struct State {
        var number = 0
        var calls: [Int: (deadline: NIODeadline, cancel: @Sendable () -> Void)] = [:]
        var isTicking = false
    }
    private let state = Mutex(State())
    /// How late a call may be cancelled.
    private static let tick = TimeAmount.milliseconds(250)

    func watch(until deadline: NIODeadline, cancel: @escaping @Sendable () -> Void) -> Int {
        let (number, begins) = state.withLock { state in
            state.number += 1
            state.calls[state.number] = (deadline, cancel)
            defer { state.isTicking = true }
            return (state.number, !state.isTicking)
        }
        if begins { schedule() }
        return number
    }

    func forget(_ number: Int) {
        state.withLock { state in _ = state.calls.removeValue(forKey: number) }
    }

    private func schedule() {
        MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: Self.tick) { self.look() }
    }

    private func look() {
        let now = NIODeadline.now()
        let (late, goesOn) = state.withLock { state in
            let late = state.calls.filter { $0.value.deadline <= now }
            for number in late.keys { state.calls[number] = nil }
            state.isTicking = !state.calls.isEmpty
            return (late.values.map(\.cancel), state.isTicking)
        }
        for cancel in late { cancel() }
        if goesOn { schedule() }
    }
}
