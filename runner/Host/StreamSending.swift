import Functions
import Hummingbird
import NIOCore
import ServiceLifecycle

/// Sends a stream's pieces, one after another, until it or the process ends or the caller is gone.
struct StreamSending: Sendable {
    let stream: any AnswerStream
    let channel: any Channel
    let deadlines: Deadlines
    /// How long one piece may take to leave.
    let limit: Duration

    var body: ResponseBody {
        ResponseBody { writer in
            defer { stream.end() }
            try await withGracefulShutdownHandler {
                while let piece = try await stream.next() {
                    // A write can't be given up by itself: the connection of a caller who reads nothing goes.
                    let id = deadlines.begin(limit) { channel.close(promise: nil) }
                    defer { deadlines.end(id) }
                    try await writer.write(ByteBuffer(bytes: piece))
                }
            } onGracefulShutdown: {
                stream.end()
            }
            try await writer.finish(nil)
        }
    }
}
