import Connectors
import Foundation
import TestSupport
import Testing

/// A conversation with each provider, as `runner simulate` plays it: a fifth of the sends fails, and what becomes of messages is told
/// late, twice and in any order.
@Suite struct SimulationTests {
    static let providers = ["whatsapp", "facebook", "instagram", "twitter", "linkedin"]

    /// A host with one channel, connected to a provider that runs.
    private struct Stage {
        let host: RunningHost
        let simulation: Simulation
        let organisation: Organisation
        let channel: String

        init(_ provider: String, _ options: [String]) async throws {
            simulation = try Simulation(provider)
            host = try await RunningHost(settings: simulation.settings)
            organisation = try await Organisation.signUp(host.api)
            let answer = try await organisation.api.post(
                organisation.path + "/channels",
                ["type": provider, "name": "Simulated", "credentials": try await simulation.credentials()]
            )
            guard answer.status == 201, let id = answer.string("id") else { throw UnexpectedAnswer(answer) }
            channel = id
            try await simulation.start(to: "http://127.0.0.1:\(host.port)/webhook/\(id)", options)
        }

        func messages() async throws -> [[String: Any]] {
            guard let ticket = try await organisation.tickets().first?["id"] as? String else { return [] }
            return try await organisation.messages(of: ticket)
        }
    }

    private static let troubles = ["--fail", "20%", "--late", "1s", "--twice", "--shuffle"]

    @Test(arguments: providers)
    func aCustomersWordsAndPicturesArriveOnceAndInOrder(_ provider: String) async throws {
        let stage = try await Stage(provider, Self.troubles)
        let words = ["Hello, Å/\\\"<&> 👋🏽", "Where is\nmy parcel?", "It was blue."]

        var ids: [String] = []
        for word in words { ids.append(try await stage.simulation.say(word, name: "Kim")) }
        if provider != "linkedin" { ids.append(try await stage.simulation.say("Look", name: "Kim", picture: true)) }

        let messages = try await eventually(within: .seconds(60), otherwise: { stage.host.log + stage.simulation.log })
        {
            let messages = try await stage.messages()
            let urls = messages.flatMap { $0["attachments"] as? [[String: Any]] ?? [] }.compactMap {
                $0["url"] as? String
            }
            let isWhole = provider == "linkedin" || urls.contains { $0.contains("/attachments/") }
            return messages.count >= ids.count && isWhole ? messages : nil
        }
        #expect(messages.compactMap { $0["externalId"] as? String } == ids)
        #expect(messages.prefix(3).compactMap { $0["text"] as? String } == words)
        #expect(messages.allSatisfy { $0["status"] as? String == "received" })
        #expect(try await stage.organisation.tickets().count == 1)
        if let shown = (messages.last?["attachments"] as? [[String: Any]])?.first,
            let path = (shown["url"] as? String)?.split(separator: "\(stage.host.port)").last
        {
            let file = try await stage.organisation.api.get(String(path))
            #expect(file.status == 200)
            #expect(file.headers["content-type"] == "image/png")
            #expect(file.body.prefix(4) == Data([0x89, 0x50, 0x4E, 0x47]))
        }
        stage.host.stop()
    }

    @Test(arguments: providers)
    func answersArriveOnceInOrderAndReachTheirLastState(_ provider: String) async throws {
        let stage = try await Stage(provider, Self.troubles)
        _ = try await stage.simulation.say("Hello")
        let ticket = try await eventually { try await stage.organisation.tickets().first?["id"] as? String }
        let answers = (1...8).map { "Answer \($0) Å" }

        for answer in answers {
            let posted = try await stage.organisation.api.post(
                "\(stage.organisation.path)/tickets/\(ticket)/messages",
                ["text": answer]
            )
            #expect(posted.status == 201, "\(posted.text)")
        }

        let end = ["whatsapp": "read", "facebook": "read", "instagram": "read", "twitter": "read", "linkedin": "sent"]
        // Where a machine is so busy that a send isn't answered in time, nobody can say whether LinkedIn has it, and we don't guess.
        func isUnknown(_ message: [String: Any]) -> Bool {
            message["status"] as? String == "failed"
                && (message["error"] as? [String: Any])?["code"] as? String == "outcome_unknown"
        }
        let messages = try await eventually(
            // Each 429 of LinkedIn's keeps the channel quiet for a minute.
            within: .seconds(300),
            otherwise: { stage.host.log + stage.simulation.log }
        ) {
            let messages = try await stage.messages()
            let sent = messages.filter { $0["direction"] as? String == "outbound" }
            let areThrough = sent.allSatisfy { $0["status"] as? String == end[provider] || isUnknown($0) }
            return sent.count == answers.count && areThrough ? messages : nil
        }
        let known = messages.dropFirst().filter { !isUnknown($0) }
        #expect(known.count >= answers.count - 2)
        #expect(messages.dropFirst().compactMap { $0["text"] as? String } == answers)
        // A job that meets another one at the ticket looks again when that one's lease would end, 30 seconds later.
        try await stage.host.becomeIdle(within: .seconds(90))
        // What echoes and receipts told late has made nothing more of it.
        #expect(try await stage.messages().count == answers.count + 1)
        let accepted = try await stage.simulation.calls().compactMap { $0["messageId"] as? String }
        let ids = known.compactMap { $0["externalId"] as? String }
        #expect(accepted.filter { ids.contains($0) } == ids)
        #expect(accepted.count <= answers.count)
        stage.host.stop()
    }

    /// X takes no addresses: a file is given to it before the message that names it.
    @Test func picturesAndVideosThatAnAgentSendsAreGivenToXWhole() async throws {
        let stage = try await Stage("twitter", [])
        let media = try await MediaServer()
        _ = try await stage.simulation.say("Hello")
        let ticket = try await eventually { try await stage.organisation.tickets().first?["id"] as? String }
        let files = [
            ["type": "image", "url": media.url + "/files/photo.jpg"],
            ["type": "video", "url": media.url + "/files/film.mp4"],
        ]

        let posted = try await stage.organisation.api.post(
            "\(stage.organisation.path)/tickets/\(ticket)/messages",
            ["text": "Look", "attachments": files]
        )

        #expect(posted.status == 201, "\(posted.text)")
        _ = try await eventually(within: .seconds(90), otherwise: { stage.host.log + stage.simulation.log }) {
            try await stage.messages().last?["status"] as? String == "read" ? true : nil
        }
        let all = try await stage.simulation.calls()
        func calls(_ method: String, _ end: String) -> [[String: Any]] {
            all.filter { $0["method"] as? String == method && ($0["path"] as? String)?.hasSuffix(end) == true }
        }
        let begun = calls("POST", "/2/media/upload/initialize").compactMap { $0["body"] as? [String: Any] }
        #expect(begun.compactMap { $0["media_type"] as? String } == ["image/jpeg", "video/mp4"])
        #expect(begun.compactMap { $0["media_category"] as? String } == ["dm_image", "dm_video"])
        #expect(begun.compactMap { $0["total_bytes"] as? Int } == [MediaServer.photo.utf8.count, 3 << 20])
        let pieces = calls("POST", "/append")
        #expect(pieces.count == 3)
        #expect((pieces.first?["body"] as? String)?.contains("\r\n\r\n\(MediaServer.photo)\r\n--part-") == true)
        #expect(calls("GET", "/2/media/upload").count == 1)
        let ends = calls("POST", "/finalize").compactMap { ($0["path"] as? String)?.split(separator: "/") }
        let sent = calls("POST", "/messages").compactMap { $0["body"] as? [String: Any] }
        let named = sent.compactMap { ($0["attachments"] as? [[String: Any]])?.first?["media_id"] as? String }
        #expect(named.count == 2 && named == ends.map { String($0[3]) })
        #expect(sent.compactMap { $0["text"] as? String } == ["Look"])
        #expect(all.allSatisfy { [200, 201].contains($0["status"] as? Int) })
        stage.host.stop()
    }

    @Test func upWithSimulationHasAConnectedChannelOfEachProvider() async throws {
        let port = try FreePort.find()
        let up = try await RunningUp(["--simulate", "--simulate-port", String(port)])
        let account =
            try JSONSerialization.jsonObject(
                with: try Data(contentsOf: URL(fileURLWithPath: up.folder + "/.runner/demo.json"))
            ) as? [String: Any]
        let login = try await up.api.post(
            "/auth/login",
            ["email": account?["email"] ?? "", "password": account?["password"] ?? ""]
        )
        let organisation = Organisation(
            id: login.string("organisation.id") ?? account?["organisation"] as? String ?? "",
            user: login.string("user.id") ?? "",
            email: "",
            api: up.api.with(token: login.string("accessToken"))
        )

        for provider in Self.providers {
            let said = try await Command.shell(
                "\(Checkout.executable) simulate \(provider) --say 'Hello by \(provider)' --port \(port)"
            )
            #expect(said.status == 0, "\(said.errors)")
        }

        for provider in Self.providers {
            _ = try await eventually(otherwise: { up.log }) {
                let tickets = try await organisation.api.get(organisation.path + "/tickets?q=\(provider)")
                return tickets.data.count == 1 ? true : nil
            }
        }
        let channels = try await organisation.api.get(organisation.path + "/channels?limit=100").texts("type")
        #expect(Set(channels) == Set(Self.providers + ["mock"]))
        up.stop()
    }

    @Test func aSimulatorSaysWhatItCannotDo() async throws {
        let none = try await Command.shell(
            "\(Checkout.executable) simulate whatsapp --say hi --port \(try FreePort.find())"
        )
        let wrong = try await Command.shell("\(Checkout.executable) simulate telegram")
        let share = try await Command.shell("\(Checkout.executable) simulate whatsapp --fail half")

        #expect(none.status != 0 && none.errors.contains("No simulator listens"))
        #expect(wrong.status != 0)
        #expect(share.errors.contains("--fail is a share such as 20%."))
    }

    @Test func aSimulatorShakesHandsAndComplainsWhereTheProductDoesNotAnswer() async throws {
        let stage = try await Stage("whatsapp", [])
        let lonely = try Simulation("twitter")
        try await lonely.start(to: "http://127.0.0.1:\(stage.host.port)/webhook/\(stage.channel)")

        _ = try await eventually { lonely.log.contains("fails the handshake of twitter") ? true : nil }
        _ = try await eventually { stage.simulation.log.contains("simulating whatsapp") ? true : nil }

        #expect(!stage.simulation.log.contains("handshake"))
        stage.host.stop()
    }
}
