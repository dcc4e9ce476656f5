import HTTPTypes
import Hummingbird
import NIOCore
import Testing

@testable import Host

@Suite struct CrossOriginTests {
    private func headers(
        _ origins: String?,
        _ method: HTTPRequest.Method = .get,
        origin: String?,
        asks: String? = nil
    ) -> [String: String] {
        var fields = HTTPFields()
        fields[.origin] = origin
        fields[.accessControlRequestMethod] = asks
        let request = Request(
            head: HTTPRequest(method: method, scheme: "http", authority: "localhost", path: "/", headerFields: fields),
            body: RequestBody(buffer: ByteBuffer())
        )
        return Dictionary(
            CrossOrigin(origins: origins).headers(request).map { ($0.name, $0.value) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    @Test func isOffUnlessOriginsAreSet() {
        #expect(headers(nil, origin: "https://app.example.com") == [:])
    }

    @Test func letsTheNamedOriginsIn() {
        let answer = headers("https://a.example, https://b.example", origin: "https://b.example")

        #expect(answer["Access-Control-Allow-Origin"] == "https://b.example")
        #expect(answer["Vary"] == "Origin")
        #expect(answer["Access-Control-Allow-Credentials"] == nil)
    }

    @Test(arguments: ["https://evil.example", "https://a.example.evil", "http://a.example", "null", nil])
    func tellsOthersNothingButThatAnswersVary(origin: String?) {
        #expect(headers("https://a.example", origin: origin) == ["Vary": "Origin"])
    }

    @Test func answersAPreflight() {
        let answer = headers("*", .options, origin: "https://any.example", asks: "PUT")

        #expect(answer["Access-Control-Allow-Origin"] == "*")
        #expect(answer["Access-Control-Allow-Methods"] == "PUT")
        #expect(answer["Access-Control-Allow-Headers"]?.contains("Authorization") == true)
    }
}
