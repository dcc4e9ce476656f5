import Foundation

/// Processes whose time of day is wrong, by a library that is made of a few lines of C.
package enum ShiftedClock {
    private static let library = Task {
        let source = Checkout.root + "/Tests/EndToEndTests/Peers/shifted_clock.c"
        let library =
            NSTemporaryDirectory() + "delightchat-shifted-clock-\(ProcessInfo.processInfo.processIdentifier).so"
        // Comes with Swift.
        let made = try await Command.shell("clang -shared -fPIC -O1 -o '\(library)' '\(source)' -ldl")
        guard made.status == 0 else { throw NotMade(reason: made.errors) }
        return library
    }

    /// Settings for a process whose time of day is so many seconds ahead; how fast it goes stays, and so do its deadlines.
    package static func settings(ahead seconds: Int) async throws -> [String: String] {
        ["LD_PRELOAD": try await library.value, "SHIFTED_CLOCK": String(seconds)]
    }

    struct NotMade: Error, CustomStringConvertible {
        let reason: String
        var description: String { "the library for a wrong clock wasn't made: \(reason)" }
    }
}
