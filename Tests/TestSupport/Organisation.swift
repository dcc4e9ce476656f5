import Foundation

/// An organisation of a running host, with its first admin's token.
package struct Organisation: Sendable {
    package let id: String
    package let user: String
    package let email: String
    package let api: APIClient

    package init(id: String, user: String, email: String, api: APIClient) {
        self.id = id
        self.user = user
        self.email = email
        self.api = api
    }

    /// Signs up with an address that nobody else has.
    package static func signUp(_ api: APIClient, name: String = "Acme") async throws -> Organisation {
        let email = "admin-\(UUID().uuidString.lowercased())@example.com"
        let answer = try await api.post(
            "/auth/signup",
            ["organisationName": name, "name": "Ada", "email": email, "password": "correct horse battery"]
        )
        guard answer.status == 201, let id = answer.string("organisation.id"), let user = answer.string("user.id"),
            let token = answer.string("accessToken")
        else { throw UnexpectedAnswer(answer) }
        return Organisation(id: id, user: user, email: email, api: api.with(token: token))
    }

    /// Makes a mock channel and returns its id.
    package func channel(settings: [String: Any] = [:]) async throws -> String {
        let answer = try await api.post("/orgs/\(id)/channels", ["type": "mock", "name": "Mock", "settings": settings])
        guard answer.status == 201, let channel = answer.string("id") else { throw UnexpectedAnswer(answer) }
        return channel
    }

    /// The newest hundred tickets.
    package func tickets() async throws -> [[String: Any]] {
        let answer = try await api.get("/orgs/\(id)/tickets?limit=100")
        guard answer.status == 200 else { throw UnexpectedAnswer(answer) }
        return answer.data
    }

    /// Every message of a ticket, oldest first.
    package func messages(of ticket: String) async throws -> [[String: Any]] {
        var messages: [[String: Any]] = []
        var cursor: String?
        repeat {
            let after = cursor.map { "&cursor=\($0)" } ?? ""
            let answer = try await api.get("/orgs/\(id)/tickets/\(ticket)/messages?limit=100\(after)")
            guard answer.status == 200 else { throw UnexpectedAnswer(answer) }
            messages += answer.data
            cursor = answer.string("nextCursor")
        } while cursor != nil
        return messages
    }
}

/// An answer that the test's world can't be built on.
package struct UnexpectedAnswer: Error, CustomStringConvertible {
    package let description: String

    package init(_ answer: APIClient.Answer) {
        description = "\(answer.status): \(answer.text)"
    }
}

/// Asks until there is an answer.
///
/// - Throws: ``NeverHappened`` after `limit`, with what `explain` says.
package func eventually<Value>(
    within limit: Duration = .seconds(60),
    otherwise explain: () -> String = { "" },
    _ ask: () async throws -> Value?
) async throws -> Value {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if let value = try await ask() { return value }
        try await Task.sleep(for: .milliseconds(50))
    }
    throw NeverHappened(explanation: explain())
}

/// What was waited for didn't come.
package struct NeverHappened: Error, CustomStringConvertible {
    let explanation: String
    package var description: String { "what was waited for never happened \(explanation)" }

    init(explanation: String = "") {
        self.explanation = explanation
    }
}
