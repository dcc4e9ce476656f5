import ArgumentParser
import Foundation
import Functions
import Logging
import Manifest
import Queue
import Redis

/// `--json`, and which queues: those of `REDIS_URL`, else of the private Redis of a running `runner up`, under `QUEUE_PREFIX`.
struct RedisOptions: ParsableArguments {
    @OptionGroup var bundle: BundleOptions

    @Flag(help: "Print JSON.")
    var json = false

    /// Runs a command on Redis, with what its queues' keys begin with; what Redis says against it is told without a stack of
    /// types.
    func connected<Value: Sendable>(_ body: @Sendable (Redis, _ prefix: String) async throws -> Value) async throws
        -> Value
    {
        let environment = Bootstrap.withAliases(try bundle.bundle().environment())
        let prefix = environment["QUEUE_PREFIX"].flatMap { $0.isEmpty ? nil : $0 } ?? "bull"
        let redis = Redis(
            try configuration(environment),
            logger: Logger(label: "redis", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        do {
            let value = try await body(redis, prefix)
            await redis.shutdown()
            return value
        } catch let error as RedisError {
            await redis.shutdown()
            throw ValidationError("Redis: \(error.message)")
        } catch {
            await redis.shutdown()
            throw error
        }
    }

    private func configuration(_ environment: [String: String]) throws -> RedisConfiguration {
        let set = environment["REDIS_URL"].flatMap { $0.isEmpty ? nil : $0 }
        let root = try bundle.bundle().root.path
        guard let url = set ?? PrivateAddresses.read(root: root)?.redis else {
            throw ValidationError("No Redis: set REDIS_URL, or start `runner up`, whose private Redis is then used.")
        }
        do {
            return try RedisConfiguration(url: url)
        } catch {
            throw ValidationError("REDIS_URL \(error)")
        }
    }
}

/// A queue by its name, and the Redis that it lies in.
struct QueueOptions: ParsableArguments {
    @OptionGroup var redis: RedisOptions

    @Argument(help: "The queue's name.")
    var queue: String

    /// - Throws: a validation error where no queue has this name.
    func connected<Value: Sendable>(
        _ body: @Sendable (QueueControl, QueueInspector) async throws -> Value
    ) async throws -> Value {
        let queue = queue
        return try await redis.connected { redis, prefix in
            let names = try await QueueControl.names(redis: redis, prefix: prefix)
            guard names.contains(queue) else {
                let known = names.isEmpty ? "there are none yet" : "there are \(names.joined(separator: ", "))"
                throw ValidationError("There is no queue \"\(queue)\"; \(known).")
            }
            return try await body(
                QueueControl(redis: redis, prefix: prefix, queue: queue),
                QueueInspector(redis: redis, prefix: prefix)
            )
        }
    }
}

/// `--yes` of the verbs that change many jobs at once.
struct Confirmation: ParsableArguments {
    @Flag(help: "Don't ask; needed where there is no terminal.")
    var yes = false

    /// Says what is about to happen and asks.
    ///
    /// - Throws: status 1 when the answer is no, a validation error where nobody can be asked.
    func ask(_ what: String) throws {
        guard !yes else { return }
        switch Question.ask("\(what)?") {
        case true?: return
        case false?: throw ExitCode(1)
        case nil: throw ValidationError("\(what): repeat it with --yes.")
        }
    }
}

extension JobRecord {
    var json: JSON {
        func raw(_ text: String?) -> JSON { text.flatMap { try? JSON.parse($0) } ?? .null }  // not JSON: not ours
        func time(_ date: Date?) -> JSON {
            guard let date else { return .null }
            return .string(date.formatted(.iso8601))
        }
        func text(_ value: String?) -> JSON {
            guard let value else { return .null }
            return .string(value)
        }
        return [
            "id": .string(id), "state": .string(state), "name": .string(name), "data": raw(data),
            "options": raw(options),
            "addedAt": time(added), "begunAt": time(begun), "finishedAt": time(finished),
            "attemptsMade": .number("\(attemptsMade)"), "stalled": .number("\(stalledCount)"),
            "priority": .number("\(priority)"), "result": raw(result), "failedReason": text(failedReason),
            "progress": raw(progress), "organisation": text(organisation), "trace": text(trace),
            "scheduler": text(scheduler),
        ]
    }
}

extension QueueCounts {
    func json(_ queue: String) -> JSON {
        var age = JSON.null
        if let oldestWaitingAge { age = .number("\(Int(oldestWaitingAge / .milliseconds(1)))") }
        return [
            "queue": .string(queue), "waiting": .number("\(wait + prioritized)"), "active": .number("\(active)"),
            "delayed": .number("\(delayed)"), "completed": .number("\(completed)"), "failed": .number("\(failed)"),
            "oldestWaitingMs": age, "paused": .bool(isPaused),
        ]
    }
}
