import AsyncHTTPClient
import Foundation
package import Functions
import NIOCore
import NIOHTTP1
import Security

/// Providers that live in this process: they answer sends as the real ones do, and tell the product what happened by webhooks.
package actor Simulator {
    /// A call that came in, and what it was answered.
    struct Recorded: Sendable {
        let at: Date
        let call: SimulatedCall
        let provider: Provider?
        /// 0 where the connection was cut.
        let status: Int
        let messageId: String?
    }

    private let targets: [Provider: String]
    private let behaviour: SimulatedBehaviour
    /// Where others reach us: pictures lie there.
    private let address: String
    private var recorded: [Recorded] = []
    private var uploads = SimulatedUploads()
    private var sent: [(provider: Provider, message: SentMessage)] = []
    private var lastNumber = Int64(Date().timeIntervalSince1970 * 1_000_000)
    private var deliveries: [Task<Void, Never>] = []

    /// `targets` say where each provider's webhooks go, `address` where we are: `http://127.0.0.1:4100`.
    package init(_ targets: [Provider: String], _ behaviour: SimulatedBehaviour, address: String) {
        self.targets = targets
        self.behaviour = behaviour
        self.address = address
    }

    /// The webhooks that are yet to come don't come.
    package func stop() { for delivery in deliveries { delivery.cancel() } }

    // MARK: Being called

    package func answer(_ call: SimulatedCall) -> SimulatedReply {
        // Forms are no JSON, and need not be understood.
        let body = (try? JSON.parse(call.body)) ?? .null
        let (provider, reply, message) = handle(SimulatedRequest(call, body), call, body)
        let status =
            switch reply {
            case .answer(let status, _, _): status
            case .file: 200
            case .cut: 0
            }
        recorded.append(Recorded(at: Date(), call: call, provider: provider, status: status, messageId: message))
        return reply
    }

    private func handle(
        _ request: SimulatedRequest,
        _ call: SimulatedCall,
        _ body: JSON
    ) -> (Provider?, SimulatedReply, String?) {
        let isProven =
            call.authorization == "Bearer " + Provider.token || call.authorization?.hasPrefix("OAuth ") == true
        switch request {
        case .unknown:
            return (nil, .json(404, ["error": ["message": "There is no such thing here.", "code": 803]]), nil)
        case .other(let reply): return (nil, reply, nil)
        case .picture: return (nil, .file(Picture.bytes, type: "image/png"), nil)
        case .upload(let step):
            guard isProven else { return (.twitter, Provider.twitter.unauthorised, nil) }
            return (.twitter, uploads.answer(step, call, body, id: nextId(of: .twitter)), nil)
        case .lookUpPicture(let id):
            guard isProven else { return (.whatsapp, Provider.whatsapp.unauthorised, nil) }
            let location: JSON = [
                "url": .string("\(address)/pictures/\(id)"), "mime_type": "image/png",
                "sha256": .string(Hex.encode(SHA256.digest(Picture.bytes))),
                "file_size": .number("\(Picture.bytes.count)"), "id": .string(id), "messaging_product": "whatsapp",
            ]
            return (.whatsapp, .json(200, location), nil)
        case .sentTo(let provider, let person): return (provider, .json(200, list(of: provider, person)), nil)
        case .send(let provider, let person):
            guard isProven else { return (provider, provider.unauthorised, nil) }
            var failure: SimulatedFailure?
            if behaviour.failing > 0, Double.random(in: 0..<1) < behaviour.failing {
                let failures = behaviour.failures.isEmpty ? provider.usualFailures : behaviour.failures
                failure = failures.randomElement()
            }
            if provider == .twitter, let file = body["attachments"]?.array?.first?["media_id"]?.string,
                !uploads.isWhole(file)
            {
                return (provider, provider.refusal(.code(400)), nil)
            }
            if let failure, failure != .lost { return (provider, provider.refusal(failure), nil) }
            let message = SentMessage(
                id: nextId(of: provider),
                text: provider.text(of: body),
                to: person,
                memo: provider.memo(of: body),
                at: Date()
            )
            sent.append((provider, message))
            tell(of: message, provider)
            return (provider, failure == .lost ? .cut : provider.accepted(message), message.id)
        }
    }

    /// What was sent, as whoever reads the conversation back gets it.
    private func list(of provider: Provider, _ person: String) -> JSON {
        let messages = sent.filter { $0.provider == provider && (person.isEmpty || $0.message.to == person) }.map(
            \.message
        )
        if provider == .twitter {
            return [
                "data": .array(
                    messages.reversed().map { message in
                        [
                            "id": .string(message.id), "event_type": "MessageCreate", "text": .string(message.text),
                            "sender_id": .string(provider.account),
                            "created_at": .string(message.at.ISO8601Format()),
                        ]
                    }
                )
            ]
        }
        let shown = messages.reversed().map { message -> JSON in
            [
                "id": .string(message.id), "created_time": .string(message.at.ISO8601Format()),
                "from": ["id": .string(provider.account)], "message": .string(message.text),
            ]
        }
        return ["data": [["messages": ["data": .array(Array(shown))]]]]
    }

    private func nextId(of provider: Provider) -> String {
        lastNumber += 1
        return switch provider {
        case .whatsapp: "wamid." + Base64.standard.encode(Array("simulated \(lastNumber)".utf8))
        case .facebook: "m_simulated-\(lastNumber)"
        case .instagram: "aWdfc2lt\(lastNumber)"
        case .twitter: String(lastNumber)
        case .linkedin: Provider.comment(String(lastNumber))
        }
    }

    /// Every call so far, the oldest first.
    package var calls: JSON {
        .array(
            recorded.map { recorded in
                [
                    "at": .string(recorded.at.rfc3339),
                    "provider": recorded.provider.map { .string($0.rawValue) } ?? .null,
                    "method": .string(recorded.call.method), "path": .string(recorded.call.path),
                    // Forms are no JSON.
                    "body": (try? JSON.parse(recorded.call.body))
                        ?? .string(String(decoding: recorded.call.body, as: UTF8.self)),
                    "status": .number("\(recorded.status)"),
                    "messageId": recorded.messageId.map { .string($0) } ?? .null,
                ]
            }
        )
    }

    package func forgetCalls() { recorded = [] }

    // MARK: Calling

    /// Why a customer's message doesn't reach the product.
    package struct Undelivered: Error, CustomStringConvertible {
        package let description: String
    }

    /// Writes as a customer.
    ///
    /// - Returns: the message's id at the provider.
    /// - Throws: ``Undelivered`` where the product refuses it, or can't be reached.
    package func say(
        _ text: String,
        to provider: Provider,
        from person: String? = nil,
        name: String? = nil,
        withPicture: Bool = false
    ) async throws -> String {
        let id = nextId(of: provider)
        let said = SaidMessage(
            id: id,
            text: text,
            from: person ?? provider.customer,
            name: name,
            picture: withPicture ? "\(address)/pictures/\(Picture.id(of: id))" : nil,
            at: Date()
        )
        let status = try await post(provider.body(said), provider)
        guard (200..<300).contains(status) else {
            throw Undelivered(description: "the product answered \(status) to the webhook of \(provider)")
        }
        return id
    }

    /// Asks the product for its handshake, as the provider does before it sends anything.
    ///
    /// - Throws: ``Undelivered`` where the answer isn't the right one.
    package func shakeHands(_ provider: Provider) async throws {
        guard let target = targets[provider] else { return }
        let nonce = String(Int64.random(in: 1_000_000_000...9_999_999_999))
        let key = Array(Provider.secret.utf8)
        let digest = HMAC.sha256(key: key, message: Array(nonce.utf8))
        let (query, expected): (String, String) =
            switch provider {
            case .whatsapp, .facebook, .instagram:
                ("hub.mode=subscribe&hub.challenge=\(nonce)&hub.verify_token=\(Provider.verifyToken)", nonce)
            case .twitter: ("crc_token=\(nonce)", "sha256=" + Base64.standard.encode(digest))
            case .linkedin: ("challengeCode=\(nonce)", Hex.encode(digest))
            }
        let answer: HTTPClientResponse
        let text: String
        do {
            answer = try await HTTPClient.shared.execute(
                HTTPClientRequest(url: target + "?" + query),
                timeout: .seconds(10)
            )
            text = String(buffer: try await answer.body.collect(upTo: 64 << 10))
        } catch {
            throw Undelivered(description: "\(target) can't be reached: \(error)")
        }
        let json = try? JSON.parse(Array(text.utf8))  // Meta's is none
        let given = json?["response_token"]?.string ?? json?["challengeResponse"]?.string ?? text
        guard answer.status.code == 200, given == expected else {
            throw Undelivered(
                description: "\(target) fails the handshake of \(provider): \(answer.status.code) \(text)"
            )
        }
    }

    private func tell(of message: SentMessage, _ provider: Provider) {
        let bodies = provider.bodies(message)
        var pauses = bodies.indices.map { place in
            Duration.milliseconds(100 * (place + 1)) + behaviour.lateness * Double.random(in: 0...1)
        }
        if behaviour.isShuffled { pauses.shuffle() } else { pauses.sort() }
        for (body, pause) in zip(bodies, pauses) {
            for copy in 0..<(behaviour.isDoubled ? 2 : 1) {
                deliveries.append(
                    Task {
                        try? await Task.sleep(for: pause + .milliseconds(150 * copy))  // ends with the simulator
                        await self.persist(body, provider)
                    }
                )
            }
        }
    }

    /// Posts until it is taken, as providers do.
    private func persist(_ body: JSON, _ provider: Provider) async {
        for attempt in 1...20 {
            guard !Task.isCancelled else { return }
            let status = try? await post(body, provider)  // unreachable: tried again
            if let status, (200..<300).contains(status) { return }
            try? await Task.sleep(for: .milliseconds(250 * attempt))  // ends with the simulator
        }
    }

    private func post(_ body: JSON, _ provider: Provider) async throws -> Int {
        guard let target = targets[provider] else {
            throw Undelivered(description: "nobody has said where the webhooks of \(provider) go")
        }
        let (bytes, header) = provider.signed(body)
        var request = HTTPClientRequest(url: target)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: header.name, value: header.value)
        request.body = .bytes(bytes)
        do {
            let answer = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
            _ = try await answer.body.collect(upTo: 64 << 10)
            return Int(answer.status.code)
        } catch {
            throw Undelivered(description: "\(target) can't be reached: \(error)")
        }
    }
}
