import Foundation
import Logging
import Redis
import Synchronization

/// The wait of an idle consumer for the marker that producers set, on a connection of its own.
extension Consumer {
    func awaitMarkers() async {
        // The name by which dashboards find the workers of a queue in CLIENT LIST.
        let connection = redis.blocking(name: "\(queue.prefix):\(Data(queue.name.utf8).base64EncodedString())")
        defer { connection.close() }
        while true {
            await idleSignal.wait()
            guard !Task.isCancelled else { return }
            do throws(RedisError) {
                let seconds = Self.markerWait.components.seconds
                let answer = try await connection.command(
                    ["BZPOPMIN", .string(queue.marker), .integer(seconds)],
                    deadline: .now + Self.markerWait + .seconds(3)
                )
                await passOn(marker: answer)
            } catch {
                guard error.kind != .cancelled else { return }
                logger.debug("the wait for a marker failed", metadata: ["error": "\(error)"])
                // Cancelled when the consumer ends; the loop looks at that itself.
                try? await Task.sleep(for: .milliseconds(500))
            }
            turnSignal.raise()
        }
    }

    /// A marker that was popped while everything here became busy belongs to another worker.
    private func passOn(marker: RESPValue) async {
        guard !marker.isNull, state.withLock({ $0.room(options) }) == 0 else { return }
        // If this fails, the others look by themselves within seconds.
        _ = try? await redis.command(["ZADD", .string(queue.marker), 0, "0"])
    }
}
