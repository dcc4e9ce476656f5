import Foundation
import NIOPosix

#if canImport(Glibc)
    import Glibc
#endif

/// Files in a folder of this machine, readable by its user alone.
package struct FolderStorage: Sendable {
    private let root: String

    package init(path: String) {
        root = path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    /// Where a put is at work. One name for each key, so that the next put or a deletion takes away what a crash left.
    private func unfinished(_ path: String) -> String { path + ".part" }

    private func path(of key: String) -> String { root + "/" + key }

    func put<Chunks: AsyncSequence>(_ chunks: Chunks, under key: String) async throws where Chunks.Element == [UInt8] {
        let path = path(of: key)
        let part = unfinished(path)
        let descriptor = try await Self.blocking {
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            let descriptor = Glibc.open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Self.fault("can't write", part) }
            return descriptor
        }
        do {
            for try await chunk in chunks {
                try await Self.blocking { try Self.write(chunk, to: descriptor, part) }
            }
            try await Self.blocking {
                // On the disk before its row says so.
                guard fsync(descriptor) == 0 else { throw Self.fault("can't write", part) }
                guard rename(part, path) == 0 else { throw Self.fault("can't write", path) }
            }
        } catch {
            close(descriptor)
            throw error
        }
        close(descriptor)
    }

    func delete(_ key: String) async throws {
        let path = path(of: key)
        let part = unfinished(path)
        try await Self.blocking {
            for file in [path, part] where unlink(file) != 0 && errno != ENOENT && errno != ENOTDIR {
                throw Self.fault("can't delete", file)
            }
        }
    }

    /// The file under a key, opened; `nil` where there is none.
    package func open(_ key: String) async throws -> StoredFile? {
        let path = path(of: key)
        return try await Self.blocking {
            let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                guard errno == ENOENT || errno == ENOTDIR else { throw Self.fault("can't read", path) }
                return nil
            }
            var facts = stat()
            guard fstat(descriptor, &facts) == 0 else {
                close(descriptor)
                throw Self.fault("can't read", path)
            }
            return StoredFile(descriptor: descriptor, size: Int(facts.st_size))
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws {
        try bytes.withUnsafeBytes { whole in
            var rest = whole[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                guard count > 0 || errno == EINTR else { throw fault("can't write", path) }
                rest = rest.dropFirst(max(0, count))
            }
        }
    }

    private static func fault(_ what: String, _ path: String) -> StorageFault {
        .system("\(what) \(path): \(String(cString: strerror(errno)))")
    }

    /// Calls that block get threads of their own.
    static func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await NIOThreadPool.singleton.runIfActive(body)
    }
}

/// An open file of a folder: it can be read to its end even where it is deleted meanwhile.
package final class StoredFile: Sendable {
    package let size: Int
    private let descriptor: Int32

    init(descriptor: Int32, size: Int) {
        self.descriptor = descriptor
        self.size = size
    }

    deinit { close(descriptor) }

    /// Bytes from an offset on, fewer only at the end of the file.
    package func read(at offset: Int, count: Int) async throws -> [UInt8] {
        try await FolderStorage.blocking { [self] in
            var filled = 0
            return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
                while filled < count {
                    let room = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                    let read = pread(descriptor, room.baseAddress, room.count, off_t(offset + filled))
                    if read < 0, errno == EINTR { continue }
                    guard read >= 0 else { throw StorageFault.system(String(cString: strerror(errno))) }
                    if read == 0 { break }
                    filled += read
                }
                initialised = filled
            }
        }
    }
}
