package import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A client of the running product, as the outside has it.
package struct APIClient: Sendable {
    /// One answer: its status, headers (names in lower case) and body.
    package struct Answer: @unchecked Sendable {
        // `json` holds what JSONSerialization makes: immutable containers of immutable values.
        package let status: Int
        package let headers: [String: String]
        package let body: Data
        package let json: Any?

        package var object: [String: Any] { json as? [String: Any] ?? [:] }
        package var data: [[String: Any]] { object["data"] as? [[String: Any]] ?? [] }
        package var text: String { String(decoding: body, as: UTF8.self) }

        package func string(_ path: String) -> String? {
            var value: Any? = json
            for key in path.split(separator: ".") {
                if let index = Int(key) {
                    let list = value as? [Any]
                    value = list.flatMap { $0.indices.contains(index) ? $0[index] : nil }
                } else {
                    value = (value as? [String: Any])?[String(key)]
                }
            }
            return value as? String
        }
    }

    package let base: String
    package var token: String?
    /// Whether the description is of what is asked here: others' servers have others.
    private let isOurs: Bool
    private static let session: URLSession = {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpMaximumConnectionsPerHost = 64
        configuration.timeoutIntervalForRequest = 60
        return URLSession(configuration: configuration)
    }()

    package init(base: String, token: String? = nil, isOurs: Bool = true) {
        self.base = base
        self.token = token
        self.isOurs = isOurs
    }

    package func with(token: String?) -> APIClient { APIClient(base: base, token: token) }

    package func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
        try await send("GET", path, headers: headers)
    }

    package func post(_ path: String, _ json: Any = [:], headers: [String: String] = [:]) async throws -> Answer {
        try await send("POST", path, json: json, headers: headers)
    }

    package func put(_ path: String, _ json: Any, headers: [String: String] = [:]) async throws -> Answer {
        try await send("PUT", path, json: json, headers: headers)
    }

    package func patch(_ path: String, _ json: Any, headers: [String: String] = [:]) async throws -> Answer {
        try await send("PATCH", path, json: json, headers: headers)
    }

    package func delete(_ path: String) async throws -> Answer { try await send("DELETE", path) }

    package func send(
        _ method: String,
        _ path: String,
        json: Any? = nil,
        body: Data? = nil,
        headers: [String: String] = [:]
    ) async throws -> Answer {
        guard let url = URL(string: base + path) else { throw URLError(.badURL) }
        var request = URLRequest(url: url)
        request.httpMethod = method
        if let token { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
        if let json {
            request.httpBody = try JSONSerialization.data(
                withJSONObject: json,
                options: [.fragmentsAllowed, .sortedKeys]
            )
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        } else if let body {
            request.httpBody = body
        }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        // A task of its own, which nobody cancels: Foundation's cancelling waits for an answer that waits for the cancelling.
        let (data, response) = try await Task { [request] in try await Self.session.data(for: request) }.value
        guard let response = response as? HTTPURLResponse else { throw URLError(.badServerResponse) }
        var fields: [String: String] = [:]
        for (name, value) in response.allHeaderFields { fields["\(name)".lowercased()] = "\(value)" }
        if isOurs {
            AnswerRecord.shared.keep(
                method,
                path,
                status: response.statusCode,
                type: fields["content-type"],
                body: data
            )
        }
        // Not every answer is JSON.
        let json = try? JSONSerialization.jsonObject(with: data, options: [.fragmentsAllowed])
        return Answer(status: response.statusCode, headers: fields, body: data, json: json)
    }
}
