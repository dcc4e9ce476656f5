/// A client's condition at one moment; totals count from its start.
package struct RedisStatistics: Sendable, Equatable {
    package let isConnected: Bool
    /// Commands that wait for a connection.
    package let waiting: Int
    /// Commands sent, or about to be, that have no answer yet.
    package let inFlight: Int
    /// Commands ever handed to a connection.
    package let commands: Int
    /// Connections ever made.
    package let connections: Int
    /// Commands whose callers were told that no answer came in time.
    package let timeouts: Int
}
