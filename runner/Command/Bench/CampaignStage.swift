import ArgumentParser
import AsyncHTTPClient
import Fleet
import Foundation
import Functions
import NIOCore
import NIOHTTP1
import NIOPosix

/// What campaigns are measured in: an API host, an organisation with a WhatsApp channel, and a stand-in of the provider.
final class CampaignStage {
    let world: BenchWorld
    let organisation: BenchOrganisation
    /// The WhatsApp channel.
    let channel: String
    let api: ChildProcess
    let provider: String

    /// Starts everything but workers.
    static func make(in world: BenchWorld, isFaulty: Bool) async throws -> CampaignStage {
        let port = world.nextPort()
        let environment = ["PATH": "/usr/local/bin:/usr/bin:/bin"]
        let arguments = ["bench", "campaign", "--stand-in", "\(port)"] + (isFaulty ? ["--chaos"] : [])
        _ = try await world.run(arguments, environment: environment)
        let api = try await world.host(["--group", "api"])
        let organisation = try await BenchOrganisation.make(in: world)
        let made = try await world.request(
            "POST",
            "/orgs/\(organisation.id)/channels",
            """
            {"type":"whatsapp","name":"Bench","credentials":{"accessToken":"t","appSecret":"s","verifyToken":"v",\
            "phoneNumberId":"300100200101","businessAccountId":"300100200100"}}
            """,
            token: try await organisation.token(in: world)
        )
        guard let channel = made["id"] as? String else { throw ValidationError("no channel: \(made)") }
        return CampaignStage(world, organisation, channel, api, "http://127.0.0.1:\(port)")
    }

    private init(
        _ world: BenchWorld,
        _ organisation: BenchOrganisation,
        _ channel: String,
        _ api: ChildProcess,
        _ provider: String
    ) {
        self.world = world
        self.organisation = organisation
        self.channel = channel
        self.api = api
        self.provider = provider
    }

    /// A process that works the campaigns' queue, and sends under a number of its own.
    func worker(_ number: Int, port: Int? = nil) async throws -> ChildProcess {
        try await world.host(
            ["--queue", "campaigns"],
            port: port ?? world.nextPort(),
            settings: ["META_GRAPH_URL": "\(provider)/g\(number)"]
        )
    }

    // MARK: Campaigns

    /// A new campaign's id; `perSecond` is 0 for as fast as it goes.
    func campaign(perSecond: Int = 0) async throws -> String {
        let made = try await world.request(
            "POST",
            "/orgs/\(organisation.id)/campaigns",
            """
            {"name":"Bench","channelId":"\(channel)","rateLimit":{"perSecond":\(perSecond == 0 ? 10_000 : perSecond)},\
            "message":{"template":{"name":"hello","language":"en_US","components":[{"type":"body",\
            "parameters":[{"type":"text","text":"{{name|you}}"},{"type":"text","text":"{{variables.city|town}}"}]}]}}}
            """,
            token: try await organisation.token(in: world)
        )
        guard let id = made["id"] as? String else { throw ValidationError("no campaign: \(made)") }
        return id
    }

    /// The number of a recipient.
    static func phone(_ number: Int) -> String { "+4915\(1_000_000_000 + number)" }

    /// Adds recipients by a CSV; returns how long that took, in seconds.
    func upload(_ count: Int, to campaign: String) async throws -> Double {
        var csv = "phone,name,city\n"
        csv.reserveCapacity(count * 48)
        for number in 1...count { csv += "\(Self.phone(number)),Customer \(number),Berlin\n" }
        let file = try world.write("recipients.csv", csv)
        csv = ""
        let token = try await organisation.token(in: world)
        let began = ContinuousClock.now
        let text = try await Tool.run(
            "curl",
            [
                "-sS", "-X", "POST", "-T", file, "-H", "Content-Type: text/csv", "-H", "Expect:",
                "-H", "Authorization: Bearer \(token)",
                "\(world.base)/orgs/\(organisation.id)/campaigns/\(campaign)/recipients",
            ]
        )
        let seconds = began.duration(to: .now).inSeconds
        guard text.contains("\"added\":\(count),") else { throw ValidationError("the upload answered \(text)") }
        return seconds
    }

    func start(_ campaign: String) async throws {
        let answer = try await world.request(
            "POST",
            "/orgs/\(organisation.id)/campaigns/\(campaign)/start",
            "{}",
            token: try await organisation.token(in: world)
        )
        guard answer["status"] as? String == "running" else { throw ValidationError("not started: \(answer)") }
    }

    struct Stats: Codable {
        let total: Int
        let pending: Int
        let sent: Int
        let delivered: Int
        let read: Int
        let failed: Int
        let optedOut: Int
        let cancelled: Int
        let failuresByCode: [String: Int]
        let completedAt: String?

        var sum: Int { pending + sent + delivered + read + failed + optedOut + cancelled }
    }

    /// `nil` where the host can't tell just now, because PostgreSQL or Redis is away.
    func stats(_ campaign: String) async throws -> Stats? {
        var request = HTTPClientRequest(
            url: "\(world.base)/orgs/\(organisation.id)/campaigns/\(campaign)/stats"
        )
        request.headers.add(name: "Authorization", value: "Bearer \(try await organisation.token(in: world))")
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        let body = try await response.body.collect(upTo: 1 << 20)
        if response.status == .serviceUnavailable { return nil }
        guard response.status == .ok else {
            throw ValidationError("stats answered \(response.status): \(String(buffer: body))")
        }
        return try JSONDecoder().decode(Stats.self, from: Data(body.readableBytesView))
    }

    // MARK: The provider

    /// What the provider was sent, as the lines of `GET /calls`; the file's path.
    func calls() async throws -> String {
        let file = try world.write("calls.csv", "")
        _ = try await Tool.run("curl", ["-sS", "-o", file, provider + "/calls"])
        return file
    }

    /// When the provider took each send, in seconds since the first.
    func times() async throws -> [Double] {
        let text = try String(contentsOfFile: try await calls(), encoding: .utf8)
        let times = text.split(separator: "\n").compactMap { $0.split(separator: ",").last.flatMap { Double($0) } }
        let sorted = times.sorted()
        return sorted.map { ($0 - sorted[0]) / 1_000_000 }
    }

    /// The same send as the product's, again and again by nothing but the client that it uses; how many a second.
    func bareLoop(_ count: Int, connections: Int) async throws -> Double {
        var configuration = HTTPClient.Configuration()
        configuration.httpVersion = .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        let client = HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
        let address = provider + Self.path
        let began = ContinuousClock.now
        // One that fails is seen by the answers that are missing.
        let answered = await withTaskGroup(of: Int.self) { group in
            for lane in 0..<connections {
                group.addTask {
                    var answered = 0
                    for number in stride(from: lane, to: count, by: connections) {
                        var request = HTTPClientRequest(url: address)
                        request.method = .POST
                        for (name, value) in Self.headers { request.headers.add(name: name, value: value) }
                        request.body = .bytes(ByteBuffer(string: Self.body(number)))
                        if let response = try? await client.execute(request, timeout: .seconds(12)),
                            (try? await response.body.collect(upTo: 1 << 20)) != nil
                        {
                            answered += 1
                        }
                    }
                    return answered
                }
            }
            return await group.reduce(0, +)
        }
        let rate = Double(count) / began.duration(to: .now).inSeconds
        try await client.shutdown()
        guard answered == count else { throw ValidationError("\(answered) of \(count) calls were answered") }
        return rate
    }

    /// wrk with the same send; `nil` where it isn't installed.
    func wrk(seconds: Int, connections: Int) async throws -> Double? {
        let lines = Self.headers.map { "wrk.headers[\"\($0.0)\"] = \"\($0.1)\"" }.joined(separator: "\n")
        let script = try world.write(
            "send.lua",
            "wrk.method = \"POST\"\n\(lines)\nwrk.body = [[\(Self.body(1))]]\n"
        )
        // Not there.
        let output = try? await Tool.run(
            "wrk",
            ["-t1", "-c\(connections)", "-d\(seconds)s", "-s", script, provider + Self.path]
        )
        return output?.firstMatch(of: #/Requests\/sec:\s+([0-9.]+)/#).flatMap { Double($0.output.1) }
    }

    private static let path = "/g0/v25.0/300100200101/messages"
    private static let headers = [
        ("Authorization", "Bearer t"), ("Accept", "application/json"), ("User-Agent", "DelightChat/1"),
        ("Content-Type", "application/json"),
    ]

    private static func body(_ number: Int) -> String {
        """
        {"biz_opaque_callback_data":"msg:01936f5e-7a00-7000-8000-000000000001","messaging_product":"whatsapp",\
        "recipient_type":"individual","template":{"components":[{"parameters":[{"text":"Customer \(number)","type":"text"},\
        {"text":"Berlin","type":"text"}],"type":"body"}],"language":{"code":"en_US"},"name":"hello"},\
        "to":"\(phone(number))","type":"template"}
        """
    }
}
