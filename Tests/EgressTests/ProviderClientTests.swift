import Egress
import Foundation
import Logging
import TestSupport
import Testing

@Suite struct ProviderClientTests {
    private let client = ProviderClient(logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))

    private func call(
        _ url: String,
        _ method: String = "POST",
        timeout: Duration = .seconds(10)
    ) async -> Result<ProviderAnswer, CallFault> {
        let request = OutgoingRequest(
            method: method,
            url: url,
            headers: [("Content-Type", "application/json")],
            body: method == "GET" ? [] : Array("{}".utf8),
            timeout: timeout
        )
        do { return .success(try await client.send(request)) } catch { return .failure(error) }
    }

    private func word(_ result: Result<ProviderAnswer, CallFault>) -> String {
        switch result {
        case .success(let answer): "\(answer.status)"
        case .failure(.unsent): "unsent"
        case .failure(.unanswered): "unanswered"
        }
    }

    @Test func tellsWhetherACallLeft() async throws {
        let provider = try await StandInProvider()
        try await provider.answer(
            #"{"cut": true}"#,
            #"{"delay": 3}"#,
            #"{"status": 302, "headers": {"Location": "/elsewhere"}}"#,
            #"{"status": 503, "body": "busy"}"#
        )

        let cut = await call(provider.url + "/a")
        let slow = await call(provider.url + "/b", timeout: .milliseconds(500))
        let redirect = await call(provider.url + "/c")
        let busy = await call(provider.url + "/d")
        let refused = await call("http://127.0.0.1:\(try FreePort.find())/e")
        let unknown = await call("http://nowhere.invalid/f")

        #expect(
            [cut, slow, redirect, busy, refused, unknown].map(word)
                == ["unanswered", "unanswered", "302", "503", "unsent", "unsent"]
        )
        // Each once: nothing is sent again by itself.
        #expect(provider.calls.map(\.path) == ["/a", "/b", "/c", "/d"])
    }

    @Test func readsNoEndlessAnswer() async throws {
        let provider = try await StandInProvider()
        try await provider.answer("{\"body\": \"\(String(repeating: "x", count: (1 << 20) + 1))\"}")

        #expect(word(await call(provider.url + "/a", "GET")) == "unanswered")
    }
}
