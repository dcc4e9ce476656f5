package import Foundation
import Redis

/// A job as a consumer has fetched it; it stays its own while its lock is renewed.
package struct Job: Sendable, Identifiable {
    package let id: String
    package let queue: String
    package let name: String
    /// JSON text as the producer wrote it.
    package let data: String
    /// Runs that ended before this one.
    package let attemptsMade: Int
    /// Runs begun, this one included.
    package let attemptsStarted: Int
    /// Runs that ended with the death of their worker.
    package let stalledCount: Int
    /// When it was added, in milliseconds since 1970.
    package let timestamp: Int64
    /// When the queue accepted it, in microseconds since 1970: strictly rising in a queue. For jobs of other
    /// producers the time of their adding, where two may be equal.
    package let acceptedAt: Int64
    /// Whose job it is, as its producer said; it grants nothing.
    package let organisation: UUID?
    package let trace: String?
    /// Why this job must fail without running.
    package let deferredFailure: String?
    /// The scheduler that made it, if one did.
    package let scheduler: String?

    let options: JobOptions
    let stacktrace: String?
    let token: String

    /// A job without a queue behind it, for tests of handlers.
    package init(
        id: String = "1",
        queue: String = "test",
        name: String,
        data: String,
        attemptsMade: Int = 0,
        stalledCount: Int = 0,
        timestamp: Int64 = 0,
        acceptedAt: Int64 = 0,
        organisation: UUID? = nil,
        trace: String? = nil
    ) {
        self.init(
            id: id,
            queue: queue,
            name: name,
            data: data,
            attemptsMade: attemptsMade,
            stalledCount: stalledCount,
            timestamp: timestamp,
            acceptedAt: acceptedAt,
            organisation: organisation,
            trace: trace,
            options: JobOptions()
        )
    }

    init(
        id: String,
        queue: String,
        name: String,
        data: String,
        attemptsMade: Int = 0,
        stalledCount: Int = 0,
        timestamp: Int64 = 0,
        acceptedAt: Int64 = 0,
        organisation: UUID? = nil,
        trace: String? = nil,
        deferredFailure: String? = nil,
        options: JobOptions,
        stacktrace: String? = nil
    ) {
        self.id = id
        self.queue = queue
        self.name = name
        self.data = data
        self.attemptsMade = attemptsMade
        attemptsStarted = attemptsMade + stalledCount + 1
        self.stalledCount = stalledCount
        self.timestamp = timestamp
        self.acceptedAt = acceptedAt
        self.organisation = organisation
        self.trace = trace
        self.deferredFailure = deferredFailure
        scheduler = nil
        self.options = options
        self.stacktrace = stacktrace
        token = ""
    }

    /// How many attempts are used up once the present one has ended; a run that killed its worker counts.
    ///
    /// Not ``attemptsStarted``: that also counts runs which were put off or given back.
    package var attempt: Int { attemptsMade + stalledCount + 1 }
}

extension Job {
    /// Reads `{id, fields}` of a fetch; the order of the fields is that of `FIELDS` in Common.lua.
    init?(_ answer: RESPValue, queue: String, token: String) {
        guard let parts = answer.array, parts.count == 2, let id = parts[0].text, let fields = parts[1].array,
            fields.count >= 14
        else { return nil }
        func number(_ index: Int, or older: Int? = nil) -> Int64? {
            if let value = fields[index].integer { return value }
            if let value = fields[index].text.flatMap({ Int64($0) }) { return value }
            return older.flatMap { $0 < fields.count ? number($0) : nil }
        }
        self.id = id
        self.queue = queue
        self.token = token
        name = fields[0].text ?? ""
        data = fields[1].text ?? "{}"
        options = fields[2].text.map(JobOptions.init(parsing:)) ?? JobOptions()
        timestamp = number(3) ?? 0
        attemptsMade = Int(number(4, or: 14) ?? 0)
        attemptsStarted = Int(number(5) ?? 1)
        stalledCount = Int(number(6, or: 15) ?? 0)
        acceptedAt = number(7) ?? timestamp * 1000
        organisation = fields[8].text.flatMap(UUID.init(uuidString:))
        trace = fields[9].text
        deferredFailure = fields[10].text
        stacktrace = fields[11].text
        scheduler = fields[12].text
    }
}

extension RESPValue {
    /// A bulk string as text; bytes that are not UTF-8 are replaced.
    var text: String? {
        switch self {
        case .string(let value): value
        case .bytes(let value): String(decoding: value, as: UTF8.self)
        default: nil
        }
    }
}
