import Foundation
import Synchronization

/// Where the handler writes the number of a signal; -1 while nobody listens.
///
/// A handler interrupts anything, so it may do no more than write(2). The value is made before the handler is installed.
private let wakeDescriptor = Atomic<Int32>(-1)

/// SIGINT, SIGTERM and SIGHUP as calls on a thread of their own, from its making until `stop()`.
///
/// One at a time may exist. It does without a dispatch source: when one is made soon after another for the same signal was
/// cancelled, it stays silent.
final class Signals: Sendable {
    private static let numbers = [SIGINT, SIGTERM, SIGHUP]

    init(_ receive: @escaping @Sendable (Int32) -> Void) throws(FleetError) {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw FleetError("could not make a socket pair: \(String(cString: strerror(errno)))")
        }
        let (reading, writing) = (ends[0], ends[1])
        wakeDescriptor.store(writing, ordering: .sequentiallyConsistent)
        Thread.detachNewThread {
            var number: UInt8 = 0
            while true {
                let count = read(reading, &number, 1)
                if count < 0 && errno == EINTR { continue }
                guard count == 1, number != 0 else { break }
                receive(Int32(number))
            }
            close(reading)
            close(writing)
        }
        // Children get the default actions back: see spawn().
        for number in Self.numbers {
            signal(number) { number in
                let saved = errno
                var byte = UInt8(truncatingIfNeeded: number)
                write(wakeDescriptor.load(ordering: .sequentiallyConsistent), &byte, 1)
                errno = saved
            }
        }
    }

    /// Gives the signals their default actions back.
    func stop() {
        for number in Self.numbers { signal(number, SIG_DFL) }
        var end: UInt8 = 0
        write(wakeDescriptor.exchange(-1, ordering: .sequentiallyConsistent), &end, 1)
    }
}
