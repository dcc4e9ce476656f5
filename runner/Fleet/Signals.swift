import Dispatch
import Foundation

/// SIGINT, SIGTERM and SIGHUP as events, from its making until `stop()`.
///
/// Its sources are only touched by whoever made it.
final class Signals {
    private let sources: [any DispatchSourceSignal]

    init(_ receive: @escaping @Sendable (Int32) -> Void) {
        let queue = DispatchQueue(label: "signals")
        sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            // The default action would end this process before the source is asked. Children get it back: see spawn().
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { receive(number) }
            source.resume()
            return source
        }
    }

    func stop() {
        for source in sources { source.cancel() }
        for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_DFL) }
    }
}
