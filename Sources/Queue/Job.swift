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
    /// What holds off others like it until it ends.
    let deduplication: String?
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
        deduplication = nil
        token = ""
    }

    /// How many attempts are used up once the present one has ended; a run that killed its worker counts.
    ///
    /// Not ``attemptsStarted``: that also counts runs which were put off or given back.
    package var attempt: Int { attemptsMade + stalledCount + 1 }
}

extension Job {
    /// Reads `{id, fields and values}` of a fetch.
    init?(_ answer: RESPValue, queue: String, token: String) {
        guard let parts = answer.array, parts.count == 2, let id = parts[0].text, let fields = parts[1].array else {
            return nil
        }
        self.id = id
        self.queue = queue
        self.token = token
        var name = ""
        var data = "{}"
        var options = JobOptions()
        var timestamp: Int64 = 0
        var (made, started, stalls): (Int64?, Int64?, Int64?)
        var (olderMade, olderStalls): (Int64?, Int64?)
        var accepted: Int64?
        var organisation: UUID?
        var (trace, failure, stacktrace, scheduler, deduplication): (String?, String?, String?, String?, String?)
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            let value = fields[index + 1]
            switch fields[index].text {
            case "name": name = value.text ?? ""
            case "data": data = value.text ?? "{}"
            case "opts": options = value.text.map(JobOptions.init(parsing:)) ?? JobOptions()
            case "timestamp": timestamp = value.number ?? 0
            case "atm": made = value.number
            case "ats": started = value.number
            case "stc": stalls = value.number
            // The names of version 4.
            case "attemptsMade": olderMade = value.number
            case "stalledCounter": olderStalls = value.number
            case "acc": accepted = value.number
            case "org": organisation = value.text.flatMap(UUID.init(uuidString:))
            case "trace": trace = value.text
            case "defa": failure = value.text
            case "stacktrace": stacktrace = value.text
            case "rjk": scheduler = value.text
            case "deid": deduplication = value.text
            default: break
            }
        }
        self.name = name
        self.data = data
        self.options = options
        self.timestamp = timestamp
        attemptsMade = Int(made ?? olderMade ?? 0)
        attemptsStarted = Int(started ?? 1)
        stalledCount = Int(stalls ?? olderStalls ?? 0)
        acceptedAt = accepted ?? timestamp * 1000
        self.organisation = organisation
        self.trace = trace
        deferredFailure = failure
        self.stacktrace = stacktrace
        self.scheduler = scheduler
        self.deduplication = deduplication
    }
}

extension RESPValue {
    /// An integer, or a bulk string that reads as one.
    var number: Int64? { integer ?? text.flatMap { Int64($0) } }

    /// A bulk string as text; bytes that are not UTF-8 are replaced.
    var text: String? {
        switch self {
        case .string(let value): value
        case .bytes(let value): String(decoding: value, as: UTF8.self)
        default: nil
        }
    }
}
