import Foundation
import Host
import Logging
import Manifest
import TestSupport

@testable import Gateway

/// A gateway of this process.
final class TrialGateway: Sendable {
    static let manifest = """
        version: 1
        name: trial
        groups:
          things: { scale: 1..1 }
          others: { scale: 1..1 }
          scheduler: { scale: 1..1 }
        defaults:
          timeout: 2s
          http: { access: public, body_limit: 1MiB }
          params: { orgId: uuid, thingId: uuid }
        functions:
          list-things: { handler: Things/ListThings, http: GET /things, group: things }
          get-thing: { handler: Things/GetThing, http: GET /things/:thingId, group: things }
          add-thing: { handler: Things/AddThing, http: POST /things, group: things, body_limit: 256MiB }
          add-note: { handler: Things/AddNote, http: POST /notes, group: things, body_limit: 1KiB }
          watch-things: { handler: Things/WatchThings, http: GET /events, group: things, timeout: none, idle_timeout: 30s }
          wait-for-thing: { handler: Things/WaitForThing, http: GET /slow, group: things, timeout: 300ms }
          list-others: { handler: Others/ListOthers, http: GET /others, group: others }
          sweep-things: { handler: Things/SweepThings, schedule: "* * * * *" }
        """

    let port: Int
    private let run: Task<Void, any Error>

    /// `things` is where the group of that name is; `others` is there, too, unless told.
    init(things: String, others: String? = nil, _ change: (inout GatewayOptions) -> Void = { _ in }) async throws {
        var options = GatewayOptions()
        options.place = .address("127.0.0.1", port: 0)
        options.upstreams = [("things", .socket(things)), ("others", .socket(others ?? things))]
        options.patience = .milliseconds(300)
        options.grace = .milliseconds(200)
        change(&options)
        let (ports, told) = AsyncStream.makeStream(of: Int.self)
        options.onReady = { told.yield($0) }
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        let gateway = try Gateway(try Manifest.parse(Self.manifest).functions, options: options, logger: logger)
        let run = Task { try await gateway.run() }
        self.run = run
        var port = 0
        for await told in ports {
            port = told
            break
        }
        self.port = port
    }

    deinit { run.cancel() }

    func connect() throws -> RawConnection { try RawConnection(port: port) }
}

/// Runs what blocks on a thread of its own.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}

/// Something that one thread waits for and another does.
final class Gate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func open() { semaphore.signal() }
    func wait() { _ = semaphore.wait(timeout: .now() + 60) }
}
