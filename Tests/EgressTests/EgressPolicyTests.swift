import Logging
import TestSupport
import Testing

@testable import Egress

@Suite struct EgressPolicyTests {
    @Test(arguments: [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.168.1.1", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::",
        "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2001:db8::1", "2001::1",
    ])
    func refusesWhatIsNotPublic(_ text: String) throws {
        let address = try #require(IPAddress(text))

        #expect(try !EgressPolicy(allowed: "").allows(address))
    }

    @Test(arguments: ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
    func allowsWhatIsPublic(_ text: String) throws {
        let address = try #require(IPAddress(text))

        #expect(try EgressPolicy(allowed: "").allows(address))
    }

    @Test func allowsWhatTheOperatorNamesAndNoMore() throws {
        let policy = try EgressPolicy(allowed: "127.0.0.0/8, ::1 10.20.0.0/15")

        let allowed = [
            "127.0.0.1", "127.9.9.9", "::1", "10.20.0.1", "10.21.255.255", "::ffff:127.0.0.1", "10.22.0.0", "10.19.0.0",
            "::2",
        ]
        .filter { IPAddress($0).map(policy.allows) ?? false }

        #expect(allowed == ["127.0.0.1", "127.9.9.9", "::1", "10.20.0.1", "10.21.255.255", "::ffff:127.0.0.1"])
    }

    @Test(arguments: ["localhost", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "1.2.3.4/8/8"])
    func refusesARangeThatIsNone(_ text: String) {
        #expect(throws: EgressFault.unreadableRange(text)) { try EgressPolicy(allowed: text) }
    }

    @Test(arguments: [
        "http://127.0.0.1/", "http://[::1]:8080/", "http://user@1.1.1.1/", "ftp://1.1.1.1/", "http://169.254.169.254/x",
        "nonsense",
    ])
    func refusesAnAddressThatCouldNeverBeAsked(_ url: String) throws {
        #expect(try EgressPolicy(allowed: "").refuses(url))
    }
}

/// Requests over real sockets of this machine.
@Suite struct EgressTests {
    private static let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static func request(_ url: String) -> OutgoingRequest {
        OutgoingRequest(
            method: "POST",
            url: url,
            headers: [("x-test", "1")],
            body: Array("hi".utf8),
            timeout: .seconds(5)
        )
    }

    @Test(arguments: ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
    func neverConnectsToThisMachineUnasked(_ host: String) async throws {
        let receiver = try await WebhookReceiver()
        let egress = Egress(try EgressPolicy(allowed: ""), logger: Self.logger)

        await #expect(throws: EgressFault.self) {
            try await egress.send(Self.request("http://\(host):\(receiver.port)/ok"))
        }

        #expect(receiver.requests == [])
    }

    @Test func sendsToWhatIsAllowedByItsName() async throws {
        let receiver = try await WebhookReceiver()
        let egress = Egress(try EgressPolicy(allowed: "127.0.0.0/8, ::1"), logger: Self.logger)

        let answer = try await egress.send(Self.request("http://localhost:\(receiver.port)/ok"))

        #expect(answer.status == 204)
        #expect(receiver.requests.map(\.path) == ["/ok"])
        #expect(receiver.requests.first?.headers["host"] == "localhost:\(receiver.port)")
        #expect(receiver.requests.first?.body == "hi")
    }

    @Test func followsNoRedirect() async throws {
        let receiver = try await WebhookReceiver()
        let egress = Egress(try EgressPolicy(allowed: "127.0.0.1"), logger: Self.logger)

        let answer = try await egress.send(Self.request("http://127.0.0.1:\(receiver.port)/redirect"))

        #expect(answer.status == 302)
        #expect(receiver.requests.map(\.path) == ["/redirect"])
    }

    @Test func tellsOfATimeoutAndOfAHostThatIsNone() async throws {
        let receiver = try await WebhookReceiver()
        let egress = Egress(try EgressPolicy(allowed: "127.0.0.1"), logger: Self.logger)
        var slow = Self.request("http://127.0.0.1:\(receiver.port)/slow")
        slow.timeout = .milliseconds(300)

        await #expect(throws: EgressFault.timeout) { try await egress.send(slow) }
        await #expect(throws: EgressFault.unknownHost("nowhere.invalid")) {
            try await egress.send(Self.request("http://nowhere.invalid/"))
        }
    }
}
