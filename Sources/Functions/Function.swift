package import JSON
package import Queue

/// A stateless handler that functions.yaml registers: one endpoint, one worker or one schedule.
package protocol Function: Sendable {
    init()

    /// How the host calls it; each kind of function provides this.
    static var hosted: HostedFunction { get }
}

extension Function {
    /// The name in functions.yaml: `AssignTicket` is `assign-ticket`.
    package static var name: String {
        var name = ""
        for character in String(describing: Self.self) {
            if character.isUppercase, !name.isEmpty { name += "-" }
            name += character.lowercased()
        }
        return name
    }
}

/// An endpoint.
package protocol HTTPFunction: Function {
    associatedtype Input: Decodable & Sendable
    static var input: Shape<Input> { get }
    static var output: OutputDeclaration { get }
    /// Reports what is wrong with a body by the clock or a setting, to be told together with the faults of its shape. It gets
    /// the object as it came, whose members may be of any type; where a member has a fault already, this reports none.
    static func check(_ body: JSON, in context: HTTPContext, into check: inout FieldCheck) throws
    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer
}

extension HTTPFunction {
    package static func check(_ body: JSON, in context: HTTPContext, into check: inout FieldCheck) throws {}
}

/// A worker that runs one job at a time.
///
/// What it throws counts as ``Outcome/failed(_:)``.
package protocol QueueFunction: Function {
    associatedtype Payload: Decodable & Sendable
    static var payload: Shape<Payload> { get }
    /// The version of the payload's shape, raised when an older producer's jobs would be read differently.
    static var payloadVersion: Int { get }
    func handle(_ job: Work<Payload>, in context: WorkContext) async throws -> Outcome
    /// Called before jobs are written as failed for good; keeps what must not get lost. A throw has them tried again.
    func keep(_ jobs: [FailedJob], in context: WorkContext) async throws
}

/// A worker that runs many jobs in one call and answers for each, in their order.
package protocol BatchFunction: Function {
    associatedtype Payload: Decodable & Sendable
    static var payload: Shape<Payload> { get }
    static var payloadVersion: Int { get }
    func handle(_ jobs: [Work<Payload>], in context: WorkContext) async throws -> [Outcome]
    /// Called before jobs are written as failed for good; keeps what must not get lost. A throw has them tried again.
    func keep(_ jobs: [FailedJob], in context: WorkContext) async throws
}

extension QueueFunction {
    package static var payloadVersion: Int { 1 }
    package func keep(_ jobs: [FailedJob], in context: WorkContext) async throws {}
}

extension BatchFunction {
    package static var payloadVersion: Int { 1 }
    package func keep(_ jobs: [FailedJob], in context: WorkContext) async throws {}
}

/// A job whose attempts are used up, or that could never work.
package struct FailedJob: Sendable {
    package let job: Job
    package let reason: String

    package init(job: Job, reason: String) {
        self.job = job
        self.reason = reason
    }
}

/// Something that happens at set times.
package protocol ScheduledFunction: Function {
    func run(in context: WorkContext) async throws
}

/// How a run of a job ended.
package enum Outcome: Sendable, Equatable {
    /// It is done; the result is JSON text that dashboards show.
    case done(result: String? = nil)
    /// It failed and is tried again with the function's backoff until its attempts are used up.
    case failed(String)
    /// It is tried again after a time of its own; the attempt counts.
    case retry(after: Duration, String)
    /// It will never work and ends in `failed` at once.
    case discard(String)
    /// It isn't time yet; no attempt is counted.
    case snooze(Duration)
    /// Its peer wants no more for this time: nothing of the queue starts until then. It comes again first; no attempt is
    /// counted.
    case limit(Duration)
}

/// A job with its checked data.
package struct Work<Payload: Sendable>: Sendable {
    package let id: String
    package let payload: Payload
    /// Microseconds of the queue's clock at the add; rises strictly within one queue.
    package let acceptedAt: Int64
    /// From 1.
    package let attempt: Int
    /// The request that caused it.
    package let trace: String?

    package init(id: String, payload: Payload, acceptedAt: Int64, attempt: Int, trace: String?) {
        self.id = id
        self.payload = payload
        self.acceptedAt = acceptedAt
        self.attempt = attempt
        self.trace = trace
    }
}
