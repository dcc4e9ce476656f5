import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A place for one answer, given once by whoever comes first: the server, a deadline or a cancellation.
struct Reply<Answer: Sendable>: ~Copyable, Sendable {
    // Not private: Swift 6.3.1 then emits metadata that other files of the module cannot link to.
    enum State: Sendable {
        case open
        case awaited(UnsafeContinuation<Answer, Never>)
        case early(Answer)
        case answered
    }

    private let state = Mutex<State>(.open)

    var isAnswered: Bool {
        state.withLock {
            switch $0 {
            case .open, .awaited: false
            case .early, .answered: true
            }
        }
    }

    /// - Returns: Whether this answer is the one that counts; a later one is dropped.
    @discardableResult
    func answer(_ answer: Answer) -> Bool {
        var awaiting: UnsafeContinuation<Answer, Never>?
        let isFirst = state.withLock { state in
            switch state {
            case .open:
                state = .early(answer)
                return true
            case .awaited(let continuation):
                state = .answered
                awaiting = continuation
                return true
            case .early, .answered:
                return false
            }
        }
        awaiting?.resume(returning: answer)
        return isFirst
    }

    /// To be awaited once. The continuation needs no checking: the state lets exactly one answer through.
    func wait() async -> Answer {
        await withUnsafeContinuation { continuation in
            let early: Answer? = state.withLock { state in
                guard case .early(let answer) = state else {
                    state = .awaited(continuation)
                    return nil
                }
                state = .answered
                return answer
            }
            if let early { continuation.resume(returning: early) }
        }
    }
}

/// Statements that go to the server together and end with one Sync, and whoever waits for their rows.
final class Call: Sendable {
    typealias Answer = Result<[PostgresRows], PostgresError>

    let statements: [SQL]
    /// When the caller is told that it took too long.
    let deadline: Int64
    /// Set before the connection is told, so that a call that is cancelled while it is handed over is not sent.
    let isCancelRequested = Atomic<Bool>(false)

    private let reply = Reply<Answer>()
    private let handler: (@Sendable (Answer) -> Void)?

    /// The handler is called as the answer is given: on the poller's thread, outside the connection's lock.
    init(_ statements: [SQL], deadline: Int64, handler: (@Sendable (Answer) -> Void)? = nil) {
        self.statements = statements
        self.deadline = deadline
        self.handler = handler
    }

    var isAnswered: Bool { reply.isAnswered }

    @discardableResult
    func answer(_ answer: Answer) -> Bool {
        guard reply.answer(answer) else { return false }
        handler?(answer)
        return true
    }

    func wait() async -> Answer { await reply.wait() }

    /// Why the statements cannot be sent at all: libpq hands values over as C strings, and text in PostgreSQL holds no
    /// NUL either, so one would be cut off silently.
    var fault: PostgresError? {
        for statement in statements {
            if statement.text.holdsNul { return Self.nulFault }
            for parameter in statement.parameters where parameter.text?.holdsNul == true { return Self.nulFault }
            if statement.parameters.count > Int(UInt16.max) {
                return PostgresError(.server, "a statement has more than 65535 parameters", sqlState: "54023")
            }
        }
        return nil
    }

    private static let nulFault = PostgresError(
        .server,
        "a text holds the character NUL, which PostgreSQL cannot store",
        sqlState: "22021"
    )
}

extension String {
    fileprivate var holdsNul: Bool {
        var text = self
        return text.withUTF8 { bytes in
            bytes.baseAddress.map { memchr($0, 0, bytes.count) != nil } ?? false
        }
    }
}
