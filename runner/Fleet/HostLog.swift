import Foundation
import Synchronization

/// What the processes of one name write: kept in a file, and shown where this process writes.
///
/// The file begins anew above 10 MiB, and the one before it is kept as `NAME.log.1`.
final class HostLog: Sendable {
    private struct File {
        var descriptor: Int32 = -1
        var size = 0
    }

    private static let longest = 10 << 20
    /// A line that is longer is cut here.
    private static let longestLine = 1 << 20

    private let name: String
    private let state: StateFolder
    private let prefix: [UInt8]
    private let file = Mutex(File())

    /// With `isShared` several write to one terminal, and each line there says whose it is.
    init(of name: String, state: StateFolder, isShared: Bool) {
        self.name = name
        self.state = state
        let isNamed = isShared && isatty(STDOUT_FILENO) == 1
        prefix =
            isNamed ? Array("\(name.padding(toLength: max(9, name.count), withPad: " ", startingAt: 0)) | ".utf8) : []
        state.rotateLog(of: name)
    }

    deinit { file.withLock { if $0.descriptor >= 0 { close($0.descriptor) } } }

    /// Makes the descriptor that a process is to write to, to be closed here as soon as it has it, and takes what comes by it
    /// until its other holders are gone.
    func open() throws(FleetError) -> Int32 {
        var ends: [Int32] = [0, 0]
        // No pipe: one can't be made closed on exec from the start, and a child that is being started would keep it open.
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw FleetError("could not make a socket pair: \(String(cString: strerror(errno)))")
        }
        let (reading, writing) = (ends[0], Descriptors.high(ends[1]))
        Thread.detachNewThread { [self] in
            var bytes = [UInt8](repeating: 0, count: 1 << 16)
            var rest: [UInt8] = []
            while true {
                let count = read(reading, &bytes, bytes.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { break }
                rest += bytes.prefix(count)
                // Whole lines, so that those of several processes don't mix.
                guard let end = rest.count > Self.longestLine ? rest.count - 1 : rest.lastIndex(of: 0x0A) else {
                    continue
                }
                take(rest[...end])
                rest.removeSubrange(...end)
            }
            if !rest.isEmpty { take(rest[...]) }
            close(reading)
        }
        return writing
    }

    private func take(_ lines: ArraySlice<UInt8>) {
        file.withLock { file in
            if file.descriptor >= 0, file.size > Self.longest {
                close(file.descriptor)
                file.descriptor = -1
                state.rotateLog(of: name)
            }
            if file.descriptor < 0 {
                let path = state.log(of: name)
                file.descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
                var facts = stat()
                file.size = fstat(file.descriptor, &facts) == 0 ? Int(facts.st_size) : 0
            }
            file.size += lines.count
            // A full disk loses the file's lines; they are shown all the same.
            Self.write(lines, to: file.descriptor)
        }
        Self.write(prefix.isEmpty ? lines : prefixed(lines), to: STDOUT_FILENO)
    }

    private func prefixed(_ lines: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text: [UInt8] = []
        for line in lines.split(separator: 0x0A) { text += prefix + line + [0x0A] }
        return text[...]
    }

    private static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            // A terminal that was closed, a pipe that nobody reads: the lines are lost, and the work goes on.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
