import Functions
import Host
import Logging
import NIOCore
import NIOHTTP1

/// A caller's connection: its requests are read one after another, and each is answered here or handed on.
///
/// Nothing is read while an upstream takes nothing, and of an answer no more than the caller takes: a large upload and an
/// endless answer need no more memory than a few buffers.
///
/// Unchecked: everything happens on the connection's event loop.
final class CallerConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case waiting
        case exchanging(Exchange)
        /// An answer of our own is being made.
        case answering
        /// The answer is given, and the rest of the request's body is thrown away.
        case discarding
        case closing
    }

    private let part: GatewayLoop
    private var core: GatewayCore { part.core }
    private var context: ChannelHandlerContext?
    private var state = State.waiting
    /// What came of requests behind the one that is being answered.
    private var pipelined = CircularBuffer<HTTPServerRequestPart>()
    private var isProcessing = false
    private var isReadHeld = false
    private var isHalfClosed = false
    private var isQuiescing = false
    private var isOutputClosed = false
    private var peer: String?

    // Of the present request:
    private var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
    private var path: Substring = "/"
    private var requestId = ""
    private var isWhole = true
    private var stays = true
    private var isHeadSent = false

    init(_ part: GatewayLoop) {
        self.part = part
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        peer = context.channel.remoteAddress?.ipAddress
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .closing = state { return }
        pipelined.append(unwrapInboundIn(data))
        process()
    }

    /// Goes on with what has come, as far as the present request allows.
    private func process() {
        guard !isProcessing else { return }
        isProcessing = true
        while isNextWelcome, let next = pipelined.popFirst() { take(next) }
        isProcessing = false
    }

    private var isNextWelcome: Bool {
        switch state {
        case .waiting, .discarding: true
        case .exchanging, .answering: !isWhole
        case .closing: false
        }
    }

    private func take(_ next: HTTPServerRequestPart) {
        switch next {
        case .head(let head):
            begin(head)
        case .body(let body):
            if case .exchanging(let exchange) = state { exchange.send(body) }
        case .end:
            isWhole = true
            switch state {
            case .exchanging(let exchange): exchange.sendEnd()
            case .discarding: settle()
            case .waiting, .answering, .closing: break
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .exchanging(let exchange) = state { exchange.flush() }
    }

    func read(context: ChannelHandlerContext) {
        if wantsMore { context.read() } else { isReadHeld = true }
    }

    private var wantsMore: Bool {
        switch state {
        // Of a whole request, too: so the end of the connection is noticed.
        case .exchanging(let exchange): isWhole ? pipelined.isEmpty : exchange.takesMore
        case .answering: pipelined.isEmpty
        case .waiting, .discarding, .closing: true
        }
    }

    /// Reads on, if reading was put off.
    func resume() {
        guard isReadHeld, wantsMore, let context else { return }
        isReadHeld = false
        context.read()
    }

    // MARK: A request

    private func begin(_ given: HTTPRequestHead) {
        head = given
        path = Routing.path(of: given.uri)
        let ids = given.headers["X-Request-Id"]
        requestId = RequestReader.requestId(ids.count == 1 ? ids[0] : nil)
        (isWhole, isHeadSent) = (false, false)
        stays = given.isKeepAlive
        state = .answering
        switch core.routing.decide(given.method, path: path) {
        case .forward(let route): forward(route)
        case .page(let page): show(page)
        case .refuse(let failure): refuse(failure)
        case .wrongMethod(let allowed):
            let allow = ("Allow", allowed.joined(separator: ", "))
            if given.method == .OPTIONS {
                answer(Answer(status: 204, contentType: nil, headers: [allow]))
            } else {
                refuse(Failure(status: 405, detail: "\(given.method.rawValue) is not allowed here."), [allow])
            }
        }
    }

    private func forward(_ route: Routing.Route) {
        let peer = peer ?? "127.0.0.1"
        var onward = head
        onward.version = .http1_1
        onward.headers = ForwardedHeaders.request(
            head.headers,
            caller: .init(address: peer, isTrusted: core.callers.isTrusted(peer)),
            requestId: requestId,
            isChunked: head.headers.contains(name: "transfer-encoding")
        )
        let exchange = Exchange(
            route,
            head: onward,
            path: String(path),
            requestId: requestId,
            caller: self,
            part: part
        )
        state = .exchanging(exchange)
        exchange.start()
    }

    private func show(_ page: GatewayPage) {
        switch page {
        case .health: answer(Answer.object { $0.member("status", "ok") })
        case .ready:
            Readiness(of: part, isDraining: core.isDraining()) { [weak self] in self?.answer($0) }.ask()
        case .metrics:
            let address = core.callers.find(peer: peer, forwarded: head.headers["X-Forwarded-For"])
            let authorization = head.headers.first(name: "Authorization")
            guard MetricsAccess.isAllowed(address: address, authorization: authorization, token: core.metricsToken)
            else { return refuse(MetricsAccess.refusal) }
            answer(
                Answer(
                    status: 200,
                    contentType: Metrics.contentType,
                    body: Array(core.metrics.text(gauges: core.gauges).utf8)
                )
            )
        }
    }

    private func refuse(_ failure: Failure, _ headers: [(name: String, value: String)] = []) {
        var problem = Problem.answer(failure, path: String(path), requestId: requestId)
        problem.headers += headers
        core.metrics.request("-", status: failure.status, seconds: 0)
        core.logger.info(
            "\(head.method.rawValue) \(path) \(failure.status)",
            metadata: ["request_id": "\(requestId)"]
        )
        answer(problem)
    }

    // MARK: Answering

    var isWritable: Bool { context?.channel.isWritable ?? false }

    /// Gives an answer that is there as a whole.
    func answer(_ answer: Answer) {
        guard let context, !isClosing else { return }
        var headers = HTTPHeaders()
        if let type = answer.contentType { headers.add(name: "Content-Type", value: type) }
        headers.add(name: "X-Request-Id", value: requestId)
        headers.add(name: "Date", value: HTTPDate.now)
        for header in answer.headers + crossOriginHeaders { headers.add(name: header.name, value: header.value) }
        if answer.status != 204 { headers.add(name: "Content-Length", value: String(answer.body.count)) }
        send(HTTPResponseHead(version: .http1_1, status: .init(statusCode: answer.status), headers: headers))
        if head.method != .HEAD, !answer.body.isEmpty {
            let body = context.channel.allocator.buffer(bytes: answer.body)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        end()
    }

    /// Whether the caller knows chunks and interim answers.
    private var isModern: Bool { head.version.major > 1 || head.version.minor >= 1 }

    private var crossOriginHeaders: [(name: String, value: String)] {
        core.crossOrigin.headers(
            origin: head.headers.first(name: "Origin"),
            preflight: head.method == .OPTIONS ? head.headers.first(name: "Access-Control-Request-Method") : nil
        )
    }

    /// Hands on an interim answer, such as 100, to a caller who knows what that is.
    func inform(_ interim: HTTPResponseHead) {
        guard !isHeadSent, isModern, let context else { return }
        let head = HTTPResponseHead(version: .http1_1, status: interim.status)
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
    }

    /// Begins an upstream's answer.
    func begin(_ given: HTTPResponseHead) {
        var headers = ForwardedHeaders.answer(given.headers)
        let hasBody = head.method != .HEAD && given.status.mayHaveResponseBody
        if hasBody, !headers.contains(name: "Content-Length") {
            // An old caller knows by the end of the connection that the answer has ended.
            if isModern { headers.add(name: "Transfer-Encoding", value: "chunked") } else { stays = false }
        }
        send(HTTPResponseHead(version: .http1_1, status: given.status, headers: headers))
    }

    private func send(_ given: HTTPResponseHead) {
        guard let context else { return }
        var answer = given
        if isHalfClosed || isQuiescing || core.isDraining() { stays = false }
        if !stays {
            answer.headers.add(name: "Connection", value: "close")
        } else if !isModern {
            answer.headers.add(name: "Connection", value: "keep-alive")
        }
        isHeadSent = true
        context.write(wrapOutboundOut(.head(answer)), promise: nil)
    }

    func write(_ body: ByteBuffer) {
        context?.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    }

    func flush() { context?.flush() }

    /// Ends the answer.
    func end() {
        guard let context, !isClosing else { return }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        state = .discarding
        // A caller who sends before it listens would otherwise never see the answer.
        if isWhole { settle() } else { resume() }
    }

    /// Cuts an answer off: the caller must see that it isn't complete.
    func breakOff() {
        state = .closing
        context?.close(promise: nil)
    }

    /// The request is read and answered.
    private func settle() {
        guard stays, !isHalfClosed, !isQuiescing else { return finish() }
        state = .waiting
        process()
        if case .exchanging(let exchange) = state { exchange.flush() }
        resume()
    }

    private var isClosing: Bool {
        if case .closing = state { true } else { false }
    }

    /// Closes once all is written, and lets the caller take it.
    private func finish() {
        guard let context, !isClosing else { return }
        state = .closing
        pipelined.removeAll()
        resume()
        let channel = context.channel
        // After what was written before.
        channel.close(mode: .output).whenComplete { [self] _ in
            isOutputClosed = true
            if isHalfClosed { channel.close(promise: nil) } else { part.linger(channel) }
        }
    }

    // MARK: What happens to the connection

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, case .exchanging(let exchange) = state { exchange.callerHasRoom() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { return halfClosed() }
        if event is ChannelShouldQuiesceEvent { return quiesce() }
        context.fireUserInboundEventTriggered(event)
    }

    /// The caller sends nothing more, and may still listen.
    private func halfClosed() {
        isHalfClosed = true
        switch state {
        case .waiting: finish()
        case .discarding: finish()
        case .closing: if isOutputClosed { context?.close(promise: nil) }
        case .exchanging(let exchange) where !isWhole:
            exchange.abandon()
            breakOff()
        case .exchanging, .answering: break
        }
    }

    private func quiesce() {
        isQuiescing = true
        switch state {
        case .waiting: finish()
        case .exchanging(let exchange) where exchange.isEndless: exchange.finishEarly()
        case .exchanging, .answering, .discarding, .closing: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .exchanging(let exchange) = state { exchange.abandon() }
        state = .closing
        part.gone(context.channel)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .waiting where error is HTTPParserError:
            (stays, isHeadSent) = (false, false)
            head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
            var headers = HTTPHeaders()
            headers.add(name: "Content-Length", value: "0")
            send(HTTPResponseHead(version: .http1_1, status: .badRequest, headers: headers))
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            finish()
        case .exchanging where isWhole && error is HTTPParserError:
            // What follows this request can't be read; its answer is owed all the same.
            stays = false
            isHalfClosed = true
        default:
            if case .exchanging(let exchange) = state { exchange.abandon() }
            breakOff()
        }
    }
}
