import CPostgres
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Something with points in time at which it wants to be looked at.
protocol Timed: AnyObject, Sendable {
    /// The earliest of them; ``Monotonic/never`` for none. May be too early, never too late.
    var due: Int64 { get }

    /// Called on the poller's thread once `due` has passed; sets the next one.
    func fire(now: Int64)

    /// Whether a closing client should still wait for it.
    var isBusy: Bool { get }

    /// Refuses whatever comes from now on, and answers whoever still waits for a connection. On any thread.
    func stop(_ error: PostgresError)
}

/// The one thread that awaits all sockets, reads answers and keeps deadlines.
///
/// `poll(2)` and not epoll: a client has about a dozen descriptors, and it needs no shim.
final class Poller: Sendable {
    private struct Members: Sendable {
        var links: [Link] = []
        var timed: [any Timed] = []
        /// When a closing client stops waiting for what is in flight.
        var end: Int64?
        var isFinished = false
        var awaitingEnd: [UnsafeContinuation<Void, Never>] = []
    }

    private let members = Mutex(Members())
    private let wakeReader: Int32
    private let wakeWriter: Int32
    /// Whether a byte is in the pipe already.
    private let isWoken = Atomic<Bool>(false)
    /// The poller looks at deadlines no later than this by itself; 0 while it is not asleep.
    private let sleepsUntil = Atomic<Int64>(0)

    /// After some activity the poller sleeps no longer than this, so that a deadline set meanwhile, nearly always
    /// further away, needs no wake-up; only when nothing happens for so long it sleeps on.
    private static let nap: Int64 = 1_000_000_000

    init() {
        var ends: [Int32] = [-1, -1]
        // Two descriptors at the start of a process; without them nothing else would work either.
        let status = pipe(&ends)
        precondition(status == 0, "no pipe is to be had: errno \(errno)")
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        wakeReader = ends[0]
        wakeWriter = ends[1]
    }

    deinit {
        close(wakeReader)
        close(wakeWriter)
    }

    /// Starts the thread, which holds the poller until it is stopped.
    func start(_ timed: [any Timed]) {
        members.withLock { $0.timed = timed }
        let isStarted = detachThread { self.run() }
        precondition(isStarted, "no thread is to be had")
    }

    /// - Returns: Whether the link will be served; `false` once the poller has ended.
    func add(_ link: Link) -> Bool {
        let isAdded = members.withLock { members in
            guard !members.isFinished else { return false }
            members.links.append(link)
            return true
        }
        if isAdded { wake() }
        return isAdded
    }

    func remove(_ link: Link) {
        members.withLock { $0.links.removeAll { $0 === link } }
    }

    func wake() {
        guard !isWoken.exchange(true, ordering: .sequentiallyConsistent) else { return }
        var byte: UInt8 = 0
        _ = write(wakeWriter, &byte, 1)
    }

    /// To be called after a `due` was moved to an earlier point.
    func note(_ due: Int64) {
        if due < sleepsUntil.load(ordering: .sequentiallyConsistent) { wake() }
    }

    /// Ends the thread once nothing is in flight, at the latest at the point given.
    func end(at point: Int64) {
        members.withLock { $0.end = min(point, $0.end ?? Monotonic.never) }
        wake()
    }

    func awaitEnd() async {
        await withUnsafeContinuation { continuation in
            let isFinished = members.withLock { members in
                if !members.isFinished { members.awaitingEnd.append(continuation) }
                return members.isFinished
            }
            if isFinished { continuation.resume() }
        }
    }

    private func run() {
        var descriptors: [pollfd] = []
        var isIdle = false
        while true {
            let (links, timed, end) = members.withLock { ($0.links, $0.timed, $0.end) }
            var now = Monotonic.now()
            if let end {
                let isQuiet = links.allSatisfy { $0.load <= 0 } && timed.allSatisfy { !$0.isBusy }
                if isQuiet || end <= now { break }
            }

            // Published before the deadlines are read: one that is set in between either is read or sees this.
            sleepsUntil.store(isIdle ? Monotonic.never : now + Self.nap, ordering: .sequentiallyConsistent)
            var due = isIdle ? Monotonic.never : now + Self.nap
            descriptors.removeAll(keepingCapacity: true)
            descriptors.append(pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0))
            for link in links {
                due = min(due, link.due)
                let events = link.wantsWrite ? POLLIN | POLLOUT : POLLIN
                descriptors.append(pollfd(fd: link.descriptor, events: Int16(events), revents: 0))
            }
            for member in timed { due = min(due, member.due) }
            if let end { due = min(due, min(end, now + 10_000_000)) }

            let ready = systemPoll(&descriptors, descriptors.count, Self.milliseconds(until: due, now: now))
            sleepsUntil.store(0, ordering: .sequentiallyConsistent)
            isIdle = ready == 0
            if descriptors[0].revents != 0 { drain() }
            for (index, link) in links.enumerated() where descriptors[index + 1].revents != 0 || link.needsAttention {
                link.serve()
            }
            now = Monotonic.now()
            for link in links where link.due <= now { link.fire(now: now) }
            for member in timed where member.due <= now { member.fire(now: now) }
        }
        finish()
    }

    private func finish() {
        let error = PostgresError(.connection, "the client was shut down")
        let (links, timed) = members.withLock { members in
            members.isFinished = true
            return (members.links, members.timed)
        }
        for member in timed { member.stop(error) }
        for link in links { link.close(error) }
        let awaiting = members.withLock { members in
            members.links = []
            members.timed = []
            defer { members.awaitingEnd = [] }
            return members.awaitingEnd
        }
        for continuation in awaiting { continuation.resume() }
    }

    private func drain() {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while read(wakeReader, buffer.baseAddress, buffer.count) > 0 {}
        }
        isWoken.store(false, ordering: .sequentiallyConsistent)
    }

    private static func milliseconds(until due: Int64, now: Int64) -> Int32 {
        guard due != Monotonic.never else { return -1 }
        guard due > now else { return 0 }
        return Int32(clamping: (due - now + 999_999) / 1_000_000)
    }
}
