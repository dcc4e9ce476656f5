/// A connection of its own for commands that wait in Redis: `BZPOPMIN`, `BLMOVE`, `XREAD BLOCK`.
///
/// Made by ``Redis/blocking(name:)``; it connects at its first command and, once lost, at the next. Meant for one
/// caller: commands of several wait for each other.
package final class RedisBlockingConnection: Sendable {
    private let link: Link
    private let ended: @Sendable () -> Void

    /// Hears of the end in `ended`, perhaps twice.
    init(_ link: Link, ended: @escaping @Sendable () -> Void) {
        self.link = link
        self.ended = ended
    }

    deinit { close() }

    /// Sends one command and returns its answer.
    ///
    /// The deadline is kept here, whatever Redis does, so let it be later than the command's own timeout. When it
    /// passes or the task is cancelled, the connection is dropped, which also ends the wait in Redis; an answer on its
    /// way at that moment is lost.
    ///
    /// - Throws: ``RedisError``: kind `timeout` when the deadline passed, `connection` when the connection was lost or
    ///   none could be had within the connect timeout.
    package func command(
        _ arguments: [RedisArgument],
        deadline: ContinuousClock.Instant
    ) async throws(RedisError) -> RESPValue {
        let link = link
        return try await SingleReply().outcome(
            sending: { link.send(arguments, timeout: ContinuousClock.now.duration(to: deadline), to: $0) },
            abandoned: { link.drop(because: .cancelled) }
        ).get()
    }

    /// Closes the connection for good; a command under way fails with kind `connection`.
    package func close() {
        link.close()
        ended()
    }
}
