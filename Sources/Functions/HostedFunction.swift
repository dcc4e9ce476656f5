package import JSON
package import Queue

/// A function with its types erased, as the host sees it.
package enum HostedFunction: Sendable {
    case http(HostedEndpoint)
    case queue(HostedWorker)
    case schedule(@Sendable (WorkContext) async throws -> Void)

    /// `http`, `queue` or `schedule`: must be the trigger in functions.yaml.
    package var trigger: String {
        switch self {
        case .http: "http"
        case .queue: "queue"
        case .schedule: "schedule"
        }
    }
}

/// An endpoint with its types erased.
package struct HostedEndpoint: Sendable {
    package let input: InputDeclaration
    package let output: OutputDeclaration
    package let faultsOfExamples: @Sendable () -> [String]
    /// Reads the input, then handles it.
    package let call: @Sendable (HTTPContext, _ path: [String: String], _ body: JSON?) async throws -> Answer
}

/// A worker with its types erased; it always takes a batch, which a ``QueueFunction`` gets one by one.
package struct HostedWorker: Sendable {
    package let payload: InputDeclaration
    package let payloadVersion: Int
    package let isBatched: Bool
    package let faultsOfExamples: @Sendable () -> [String]
    /// Answers one outcome per job, in their order. Jobs whose data doesn't fit the shape are discarded by name of the
    /// field and never reach the function.
    package let call: @Sendable ([Job], WorkContext) async throws -> [Outcome]
    /// Keeps what must not get lost of jobs that failed for good.
    package let keep: @Sendable ([FailedJob], WorkContext) async throws -> Void
}

extension HTTPFunction {
    package static var hosted: HostedFunction {
        .http(
            HostedEndpoint(
                input: input.declaration,
                output: output,
                faultsOfExamples: { input.faultsOfExamples() },
                call: { context, path, body in
                    let input = try input.read(
                        path: path,
                        query: context.request.query,
                        body: body,
                        isStreamed: context.request.stream != nil,
                        also: { try Self.check($0, in: context, into: &$1) }
                    )
                    return try await Self().handle(input, in: context)
                }
            )
        )
    }
}

extension QueueFunction {
    package static var hosted: HostedFunction {
        .queue(
            HostedWorker(
                payload: payload.declaration,
                payloadVersion: payloadVersion,
                isBatched: false,
                faultsOfExamples: { payload.faultsOfExamples() },
                call: { jobs, context in
                    var outcomes: [Outcome] = []
                    for job in jobs {
                        switch Work<Payload>.read(job, payload) {
                        case .success(let work): outcomes.append(try await Self().handle(work, in: context))
                        case .failure(let fault): outcomes.append(.discard(fault.description))
                        }
                    }
                    return outcomes
                },
                keep: { try await Self().keep($0, in: $1) }
            )
        )
    }
}

extension BatchFunction {
    package static var hosted: HostedFunction {
        .queue(
            HostedWorker(
                payload: payload.declaration,
                payloadVersion: payloadVersion,
                isBatched: true,
                faultsOfExamples: { payload.faultsOfExamples() },
                call: { jobs, context in
                    let read = jobs.map { Work<Payload>.read($0, payload) }
                    let works = read.compactMap { try? $0.get() }  // the others are answered below
                    var outcomes = works.isEmpty ? [] : try await Self().handle(works, in: context)
                    guard outcomes.count == works.count else { throw BatchMismatch(name: name) }
                    outcomes.reverse()
                    return read.map { result in
                        switch result {
                        case .success: outcomes.popLast() ?? .failed("has no outcome")
                        case .failure(let fault): .discard(fault.description)
                        }
                    }
                },
                keep: { try await Self().keep($0, in: $1) }
            )
        )
    }
}

extension ScheduledFunction {
    package static var hosted: HostedFunction {
        .schedule { try await Self().run(in: $0) }
    }
}

/// A batched function answered for more or fewer jobs than it got: a mistake in the function.
struct BatchMismatch: Error, CustomStringConvertible {
    let name: String
    var description: String { "\(name) did not answer for each of its jobs" }
}

/// Why a job's data is refused; ends up as the job's `failedReason`.
struct PayloadFault: Error, CustomStringConvertible {
    let description: String
}

extension Work where Payload: Decodable {
    static func read(_ job: Job, _ shape: Shape<Payload>) -> Result<Work, PayloadFault> {
        do {
            let payload = try shape.read(data: JSON.parse(job.data))
            return .success(
                Work(
                    id: job.id,
                    payload: payload,
                    acceptedAt: job.acceptedAt,
                    attempt: max(1, job.attemptsStarted),
                    trace: job.trace
                )
            )
        } catch let error as JSONSyntaxError {
            return .failure(PayloadFault(description: "data \(error.message) at byte \(error.offset)"))
        } catch let failure as Failure {
            let faults = failure.faults.map { fault in
                if case .body(let pointer) = fault.place { "data\(pointer) \(fault.message)" } else { fault.message }
            }
            return .failure(PayloadFault(description: faults.joined(separator: "; ")))
        } catch {
            return .failure(PayloadFault(description: "data can't be read: \(error)"))
        }
    }
}
