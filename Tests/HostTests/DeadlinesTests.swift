import Functions
import TestSupport
import Testing

@testable import Host

@Suite struct DeadlinesTests {
    /// Deadlines whose sweep runs as long as `body`.
    private func sweeping<Value: Sendable>(
        _ body: @escaping @Sendable (Deadlines) async throws -> Value
    ) async throws -> Value {
        let deadlines = Deadlines()
        let sweep = Task { await deadlines.sweep() }
        defer { sweep.cancel() }
        return try await body(deadlines)
    }

    @Test func cancelsWhatRunsTooLong() async throws {
        await #expect(throws: DeadlineExceeded.self) {
            try await sweeping { deadlines in
                try await deadlines.run(.milliseconds(50)) { try await Task.sleep(for: .seconds(600)) }
            }
        }
    }

    @Test func keepsTheAnswerOfWhatEndsWellAllTheSame() async throws {
        let answer = try await sweeping { deadlines in
            try await deadlines.run(.milliseconds(20)) {
                // Deaf to its cancellation, as a commit that is under way.
                while !Task.isCancelled { await Task.yield() }
                return "committed"
            }
        }

        #expect(answer == "committed")
    }

    @Test func keepsTheFailureThatTheCallGave() async throws {
        await #expect(throws: Failure.self) {
            try await sweeping { deadlines in
                try await deadlines.run(.milliseconds(20)) {
                    while !Task.isCancelled { await Task.yield() }
                    throw Failure.conflict("It is closed.")
                }
            }
        }
    }

    @Test func leavesAloneWhatHasNoLimit() async throws {
        let answer = try await sweeping { try await $0.run(nil) { 1 } }

        #expect(answer == 1)
    }

    @Test func cancelsTheCallWithItsCaller() async throws {
        let caller = Task {
            try await sweeping { deadlines in
                try await deadlines.run(.seconds(600)) { try await Task.sleep(for: .seconds(600)) }
            }
        }

        caller.cancel()

        await #expect(throws: CancellationError.self) { try await caller.value }
    }
}
