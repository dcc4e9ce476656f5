import Dispatch
import Foundation

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Bytes on their way that are too many for memory: a file without a name, which goes with its owner, even one that is killed.
///
/// Blocking calls run on a queue of its own, never on the cooperative pool.
package final class SpoolFile: Sendable {
    private static let block = 256 << 10

    private let descriptor: Int32
    private let queue = DispatchQueue(label: "spool")

    /// - Throws: ``SpoolError`` where the system gives no file.
    package init() throws {
        var path = Array((FileManager.default.temporaryDirectory.path + "/spool-XXXXXX").utf8CString)
        descriptor = path.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return -1 }
            let descriptor = mkstemp(start)
            if descriptor >= 0 { unlink(start) }
            return descriptor
        }
        guard descriptor >= 0 else { throw SpoolError(code: errno) }
    }

    deinit { close(descriptor) }

    /// Writes behind what is there.
    ///
    /// - Throws: ``SpoolError`` when the disk is full.
    package func append(_ bytes: [UInt8]) async throws {
        try await run { descriptor in
            try bytes.withUnsafeBytes { whole in
                var rest = whole[...]
                while !rest.isEmpty {
                    let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                    guard count > 0 || errno == EINTR else { throw SpoolError(code: errno) }
                    rest = rest.dropFirst(max(0, count))
                }
            }
        }
    }

    /// All of it from the start, in blocks of 256 KiB but for the last. May be read again and again.
    package var chunks: Chunks { Chunks(file: self) }

    package struct Chunks: AsyncSequence, Sendable {
        fileprivate let file: SpoolFile

        package func makeAsyncIterator() -> Iterator { Iterator(file: file) }

        package struct Iterator: AsyncIteratorProtocol {
            fileprivate let file: SpoolFile
            private var offset = 0

            fileprivate init(file: SpoolFile) { self.file = file }

            package mutating func next() async throws -> [UInt8]? {
                let bytes = try await file.read(at: offset)
                offset += bytes.count
                return bytes.isEmpty ? nil : bytes
            }
        }
    }

    private func read(at offset: Int) async throws -> [UInt8] {
        try await run { descriptor in
            var count = 0
            let bytes = try [UInt8](unsafeUninitializedCapacity: Self.block) { buffer, filled in
                while count < Self.block {
                    let room = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...])
                    let read = pread(descriptor, room.baseAddress, room.count, off_t(offset + count))
                    if read < 0, errno == EINTR { continue }
                    guard read >= 0 else { throw SpoolError(code: errno) }
                    if read == 0 { break }
                    count += read
                }
                filled = count
            }
            return bytes
        }
    }

    private func run<Value: Sendable>(_ body: @escaping @Sendable (Int32) throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            // Holds the file open until the call has ended.
            queue.async { continuation.resume(with: Result { try body(self.descriptor) }) }
        }
    }
}

/// The system refused to spool.
package struct SpoolError: Error, CustomStringConvertible {
    let code: Int32
    package var description: String { "the body can't be kept on disk: \(String(cString: strerror(code)))" }
}
