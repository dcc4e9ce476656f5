import NIOCore
import NIOPosix
import Synchronization

/// A server that misbehaves as it is told: it says a text to who connects, and one for each line that comes.
final class ScriptedServer: Sendable {
    let port: Int
    private let channel: any Channel
    private let heard: Heard

    final class Heard: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func append(_ line: String) { lines.withLock { $0.append(line) } }
    }

    /// Says `greeting` first, and what `answer` returns to each line; without a greeting it says nothing, ever.
    init(greeting: String?, answer: @escaping @Sendable (String) -> String = { _ in "250 OK\r\n" }) async throws {
        let heard = Heard()
        self.heard = heard
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Speaker(greeting: greeting, answer: answer, heard: heard)
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    deinit { channel.close(promise: nil) }

    /// What clients said, line by line.
    var lines: [String] { heard.all }

    private final class Speaker: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let greeting: String?
        private let answer: @Sendable (String) -> String
        private let heard: Heard
        private var pending = ""

        init(greeting: String?, answer: @escaping @Sendable (String) -> String, heard: Heard) {
            self.greeting = greeting
            self.answer = answer
            self.heard = heard
        }

        func channelActive(context: ChannelHandlerContext) {
            if let greeting { say(greeting, context) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            pending += String(buffer: unwrapInboundIn(data))
            while let end = pending.firstRange(of: "\r\n") {
                let line = String(pending[..<end.lowerBound])
                pending.removeSubrange(..<end.upperBound)
                heard.append(line)
                if greeting != nil { say(answer(line), context) }
            }
        }

        private func say(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(NIOAny(ByteBuffer(string: text)), promise: nil)
        }
    }
}
