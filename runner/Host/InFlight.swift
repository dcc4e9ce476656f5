import Foundation
import Synchronization

/// What the process is at work on, so that the supervisor can name it after a crash.
///
/// Kept in a memory-mapped file of fixed slots: a write is a memory copy, and what was written is there for others even
/// if the process is killed in the next instant.
package final class InFlight: Sendable {
    static let slots = 256
    static let width = 128

    /// The mapping is written only by the holder of a slot, and slots are handed out under the lock.
    private struct Mapping: @unchecked Sendable {
        let start: UnsafeMutableRawPointer
    }

    private let mapping: Mapping?
    private let free = Mutex<[Int]>(Array((0..<InFlight.slots).reversed()))

    /// - Parameter path: the file, made anew; `nil` keeps no record.
    init(path: String?) {
        guard let path else {
            mapping = nil
            return
        }
        let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, off_t(Self.slots * Self.width)) == 0 else {
            mapping = nil
            return
        }
        let start = mmap(nil, Self.slots * Self.width, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        close(descriptor)
        mapping = start == MAP_FAILED ? nil : start.map(Mapping.init)
    }

    /// Notes a call; `nil` where no slot is free, which loses a line in a crash report and nothing else.
    func begin(_ function: String, _ id: String) -> Int? {
        guard let mapping, let slot = free.withLock({ $0.popLast() }) else { return nil }
        let line = Array("\(function) \(id)".utf8.prefix(Self.width - 2)) + [0x0A]
        line.withUnsafeBytes {
            mapping.start.advanced(by: slot * Self.width).copyMemory(
                from: $0.baseAddress ?? UnsafeRawPointer(mapping.start),
                byteCount: $0.count
            )
        }
        return slot
    }

    func end(_ slot: Int?) {
        guard let mapping, let slot else { return }
        mapping.start.advanced(by: slot * Self.width).storeBytes(of: 0, as: UInt8.self)
        free.withLock { $0.append(slot) }
    }

    /// The lines of a file that a process left behind.
    package static func read(path: String) -> [String] {
        guard let bytes = FileManager.default.contents(atPath: path) else { return [] }
        return stride(from: 0, to: bytes.count, by: width).compactMap { start in
            let slot = bytes[start..<min(start + width, bytes.count)]
            guard let first = slot.first, first != 0, let end = slot.firstIndex(of: 0x0A) else { return nil }
            return String(decoding: slot[..<end], as: UTF8.self)
        }
    }
}
