package import Foundation

/// A job as it stands in Redis, for those who look at queues.
package struct JobRecord: Sendable, Equatable, Identifiable {
    package let id: String
    /// `waiting`, `active`, `delayed`, `completed`, `failed`, `waiting-children`, or `unknown`.
    package let state: String
    package let name: String
    /// JSON.
    package let data: String
    /// JSON.
    package let options: String
    package let added: Date
    /// When it was last begun.
    package let begun: Date?
    package let finished: Date?
    package let attemptsMade: Int
    package let stalledCount: Int
    package let priority: Int
    /// JSON.
    package let result: String?
    package let failedReason: String?
    /// JSON.
    package let progress: String?
    package let organisation: String?
    package let trace: String?
    package let scheduler: String?

    init(id: String, state: String, fields: [String: String]) {
        func date(_ name: String) -> Date? { fields[name].flatMap { Int64($0) }.map { Date(milliseconds: $0) } }
        func number(_ name: String, _ older: String) -> Int { (fields[name] ?? fields[older]).flatMap { Int($0) } ?? 0 }
        self.id = id
        self.state = state
        name = fields["name"] ?? ""
        data = fields["data"] ?? "{}"
        options = fields["opts"] ?? "{}"
        added = date("timestamp") ?? Date(timeIntervalSince1970: 0)
        begun = date("processedOn")
        finished = date("finishedOn")
        attemptsMade = number("atm", "attemptsMade")
        stalledCount = number("stc", "stalledCounter")
        priority = number("priority", "priority")
        result = fields["returnvalue"]
        failedReason = fields["failedReason"]
        progress = fields["progress"]
        organisation = fields["org"]
        trace = fields["trace"]
        scheduler = fields["rjk"]
    }
}
