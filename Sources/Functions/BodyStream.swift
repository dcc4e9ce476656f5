/// A request's body that is read piece by piece while it arrives, and never as a whole.
package struct BodyStream: Sendable {
    private let source: @Sendable (_ consume: ([UInt8]) async throws -> Void) async throws -> Void

    /// - Parameter source: hands each piece on in turn and returns at the end.
    package init(_ source: @escaping @Sendable (_ consume: ([UInt8]) async throws -> Void) async throws -> Void) {
        self.source = source
    }

    /// Reads it, once.
    ///
    /// - Throws: what `consume` throws; a ``Failure`` with status 413 once it is longer than the function takes; one with 400 when the
    ///   connection was cut.
    package func read(_ consume: ([UInt8]) async throws -> Void) async throws {
        try await source(consume)
    }

    /// What a spooled body holds.
    package init(_ file: SpoolFile) {
        self.init { consume in
            for try await chunk in file.chunks { try await consume(chunk) }
        }
    }
}
