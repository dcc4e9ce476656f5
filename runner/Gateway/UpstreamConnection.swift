import NIOCore
import NIOHTTP1

/// Whoever asks something over a connection to an upstream. Everything happens on the event loop of both.
protocol UpstreamUser: AnyObject, Sendable {
    /// No connection is wanted any more, nor an answer.
    var isOver: Bool { get }
    /// Whether there is room for more of the answer; where there is none, ``UpstreamConnection/resume()`` says when.
    var hasRoom: Bool { get }
    /// When it has waited too long.
    var due: NIODeadline? { get }

    func connected(_ connection: UpstreamConnection)
    /// No connection could be made, so nothing has been sent.
    func unreachable()
    func received(_ part: HTTPClientResponsePart)
    /// For the moment that was all.
    func receivedAll()
    /// The upstream takes more of the request again.
    func upstreamHasRoom()
    /// The connection is gone before the answer was complete.
    func lost()
    func expire()
}

/// A connection to an upstream: at the most one request at a time is on its way on it.
///
/// Unchecked: made, used and closed on one event loop alone.
final class UpstreamConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    private let pool: UpstreamPool
    private var context: ChannelHandlerContext?
    private var isReadHeld = false
    var user: (any UpstreamUser)?
    var idleSince = NIODeadline.distantPast

    init(pool: UpstreamPool) {
        self.pool = pool
    }

    var isActive: Bool { context?.channel.isActive ?? false }
    var isWritable: Bool { context?.channel.isWritable ?? false }

    func send(_ part: HTTPClientRequestPart) {
        context?.write(wrapOutboundOut(part), promise: nil)
    }

    func flush() { context?.flush() }

    /// Closes it without telling whoever used it.
    func close() {
        user = nil
        context?.close(promise: nil)
    }

    /// Reads on, if reading was put off because nobody had room.
    func resume() {
        guard isReadHeld, let context else { return }
        isReadHeld = false
        context.read()
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let user else {
            // An answer that nobody has asked for.
            context.close(promise: nil)
            return
        }
        user.received(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) { user?.receivedAll() }

    func read(context: ChannelHandlerContext) {
        if user?.hasRoom ?? true { context.read() } else { isReadHeld = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { user?.upstreamHasRoom() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        pool.forget(self)
        let user = user
        self.user = nil
        user?.lost()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What comes of it is told by the end of the connection.
        context.close(promise: nil)
    }
}
