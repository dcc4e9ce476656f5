import Foundation

/// A client of the event stream, as a browser's EventSource would be; curl underneath.
package final class EventListener: Sendable {
    /// One event as it came.
    package struct Event: Sendable, Equatable {
        package let type: String
        package let id: String
        package let data: String

        /// A text of its JSON by path.
        package func string(_ path: String) -> String? {
            var value: Any? = try? JSONSerialization.jsonObject(with: Data(data.utf8))  // what is no JSON has no texts
            for key in path.split(separator: ".") { value = (value as? [String: Any])?[String(key)] }
            return value as? String
        }
    }

    private let process = LockedProcess()

    /// Opens a stream and returns once its first lines are there. Without a `token` there is one in the path's query.
    ///
    /// - Throws: ``NeverHappened`` with what came instead.
    package init(_ api: APIClient, _ path: String, token: String?, lastEventId: String? = nil) async throws {
        var arguments = ["-sNi", "--max-time", "300"]
        if let token { arguments += ["-H", "Authorization: Bearer \(token)"] }
        if let lastEventId { arguments += ["-H", "Last-Event-ID: \(lastEventId)"] }
        try process.start(
            executable: "/usr/bin/curl",
            arguments: arguments + [api.base + path],
            environment: ["PATH": "/usr/bin:/bin"]
        )
        let process = process
        _ = try await eventually(within: .seconds(60), otherwise: { process.log }) {
            process.log.contains("\nretry: ") || !process.isRunning ? true : nil
        }
    }

    deinit { process.kill() }

    package var isOpen: Bool { process.isRunning }

    /// Everything that came, headers too.
    package var text: String { process.log }

    package func close() { process.kill() }

    /// The events so far, but for a last one that is cut off.
    package var events: [Event] {
        let text = process.log.replacing("\r\n", with: "\n")
        guard let end = text.range(of: "\n\n", options: .backwards) else { return [] }
        return text[..<end.lowerBound].components(separatedBy: "\n\n").compactMap { block in
            var fields: [String: String] = [:]
            for line in block.split(separator: "\n") {
                guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else { continue }
                fields[String(line[..<colon])] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            }
            guard let data = fields["data"] else { return nil }
            return Event(type: fields["event"] ?? "", id: fields["id"] ?? "", data: data)
        }
    }

    /// The last id that came, also of a block without an event.
    package var lastEventId: String? {
        let text = process.log
        guard let end = text.range(of: "\n\n", options: .backwards) else { return nil }
        return text[..<end.lowerBound].split(separator: "\n").last { $0.hasPrefix("id: ") }.map {
            String($0.dropFirst(4))
        }
    }
}
