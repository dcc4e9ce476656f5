import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// A provider of a measurement's own: takes WhatsApp's sends at any address, counts them by recipient, and may fail in every way
/// that a provider fails in, over and over in the same order.
///
/// An address that begins with `/g7/` says that the seventh process sends. `GET /calls` lists what came, a line for each recipient:
/// their number, how often it was taken, whether the last answer was kept from the sender, who sent, and when, in µs since 1970.
final class StandIn: Sendable {
    fileprivate struct Tally {
        var taken: UInt32 = 0
        var refused: UInt32 = 0
        var isHidden = false
        var sender: UInt16 = 0
        var at: Int64 = 0
    }

    /// What becomes of a call.
    fileprivate enum Fate {
        case taken
        /// Taken, and answered after a second.
        case slow
        /// Taken, and the connection is closed instead of an answer.
        case cut
        /// Taken, and a gateway in between answers 500 with nothing.
        case gateway
        /// Refused with the provider's own words.
        case error, limit

        var isTaken: Bool {
            switch self {
            case .taken, .slow, .cut, .gateway: true
            case .error, .limit: false
            }
        }
    }

    private let isFaulty: Bool

    private init(isFaulty: Bool) {
        self.isFaulty = isFaulty
    }

    /// Serves until the process ends.
    static func serve(port: Int, isFaulty: Bool) async throws {
        // One thread, so what is counted needs no lock.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let provider = StandIn(isFaulty: isFaulty)
        let book = NIOLoopBoundBox.makeBoxSendingValue(Book(), eventLoop: group.any())
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false)
                    try pipeline.addHandler(StandInHandler(provider, book.value))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(host: "127.0.0.1", port: port)
            .get()
        try await server.closeFuture.get()
    }

    /// What was counted, on the one thread.
    fileprivate final class Book {
        var tallies: [Int64: Tally] = [:]
        var count = 0
    }

    fileprivate func fate(_ number: Int, _ tally: Tally) -> Fate {
        guard isFaulty else { return .taken }
        if number % 300 == 50 { return .cut }
        if number % 300 == 100 { return .gateway }
        if number % 200 == 70 { return .slow }
        // Nobody is refused so often that it is for good.
        guard tally.refused < 2 else { return .taken }
        if number % 200 == 20 { return .error }
        return number % 4000 == 1500 ? .limit : .taken
    }
}

private final class StandInHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let provider: StandIn
    private let book: StandIn.Book
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(_ provider: StandIn, _ book: StandIn.Book) {
        self.provider = provider
        self.book = book
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear()
        case .body(var part): body.writeBuffer(&part)
        case .end: answer(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ context: ChannelHandlerContext) {
        guard let head else { return }
        guard head.method == .POST, let number = Self.recipient(in: body) else {
            let text = head.uri == "/calls" ? list() : ByteBuffer(string: #"{"data":[]}"#)
            return write(context, .ok, text)
        }
        book.count += 1
        var tally = book.tallies[number] ?? StandIn.Tally()
        let fate = provider.fate(book.count, tally)
        if fate.isTaken {
            tally.taken += 1
            tally.sender = Self.sender(in: head.uri)
            tally.at = Self.now()
            tally.isHidden = false
        } else {
            tally.refused += 1
        }
        switch fate {
        case .taken: write(context, .ok, Self.accepted(number, book.count))
        case .slow:
            let answer = Self.accepted(number, book.count)
            let loop = context.eventLoop.assumeIsolated()
            loop.scheduleTask(in: .seconds(1)) { self.write(context, .ok, answer) }
        case .cut:
            tally.isHidden = true
            context.close(promise: nil)
        case .gateway:
            tally.isHidden = true
            write(context, .internalServerError, ByteBuffer())
        case .error: write(context, .internalServerError, Self.refusal(131_000))
        case .limit: write(context, .tooManyRequests, Self.refusal(130_429), retryAfter: 1)
        }
        book.tallies[number] = tally
    }

    private func write(
        _ context: ChannelHandlerContext,
        _ status: HTTPResponseStatus,
        _ body: ByteBuffer,
        retryAfter: Int? = nil
    ) {
        var headers: HTTPHeaders = ["content-length": "\(body.readableBytes)"]
        if body.readableBytes > 0 { headers.add(name: "content-type", value: "application/json") }
        if let retryAfter { headers.add(name: "retry-after", value: "\(retryAfter)") }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func list() -> ByteBuffer {
        var text = ByteBuffer()
        for (number, tally) in book.tallies {
            text.writeString(
                "+\(number),\(tally.taken),\(tally.isHidden ? 1 : 0),\(tally.sender),\(tally.at)\n"
            )
        }
        return text
    }

    /// The digits behind `"to":"+`, as the product writes it.
    private static func recipient(in body: ByteBuffer) -> Int64? {
        let bytes = body.readableBytesView
        let marker = Array(#""to":"+"#.utf8)
        guard let start = bytes.firstRange(of: marker)?.upperBound else { return nil }
        var number: Int64 = 0
        for byte in bytes[start...] {
            guard (0x30...0x39).contains(byte) else { break }
            number = number * 10 + Int64(byte - 0x30)
        }
        return number
    }

    private static func sender(in uri: String) -> UInt16 {
        guard uri.hasPrefix("/g") else { return 0 }
        return UInt16(uri.dropFirst(2).prefix { $0.isNumber }) ?? 0
    }

    private static func accepted(_ number: Int64, _ count: Int) -> ByteBuffer {
        ByteBuffer(
            string: """
                {"messaging_product":"whatsapp","contacts":[{"input":"+\(number)","wa_id":"\(number)"}],\
                "messages":[{"id":"wamid.\(number).\(count)"}]}
                """
        )
    }

    private static func refusal(_ code: Int) -> ByteBuffer {
        ByteBuffer(string: #"{"error":{"message":"(#\#(code)) No.","type":"OAuthException","code":\#(code)}}"#)
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
