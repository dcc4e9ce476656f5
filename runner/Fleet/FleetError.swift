/// Why something of the fleet could not be set up or started, in words for whoever typed the command.
package struct FleetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What happened, as a sentence without its full stop.
    package let message: String
    /// What to do about it, when that is known.
    package let remedy: String?

    package init(_ message: String, remedy: String? = nil) {
        self.message = message
        self.remedy = remedy
    }

    package var description: String {
        remedy.map { "\(message); \($0)" } ?? message
    }
}
