import Foundation

/// The executable's pages that only the start needed.
package enum StartPages {
    /// Unmaps the executable's code and constants. What runs again is mapped again out of the page cache, some pages at a time
    /// and without a look at the disk: the process keeps what it works with and not what it started with.
    ///
    /// Pages that the process has written, those with relocations too, lie behind the code and aren't touched.
    package static func release() {
        guard let maps = try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8),
            let executable = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        else { return }  // no /proc: nothing is gained
        for range in ranges(in: maps, of: executable) {
            guard let start = UnsafeMutableRawPointer(bitPattern: range.lowerBound) else { continue }
            madvise(start, Int(range.upperBound - range.lowerBound), MADV_DONTNEED)
        }
    }

    /// The addresses of the file's mappings up to and with its code, as `/proc/self/maps` lists them: from the lowest address.
    static func ranges(in maps: String, of file: String) -> [Range<UInt>] {
        var constants: [Range<UInt>] = []
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard fields.count == 6, fields[5].drop(while: { $0 == " " }) == file else { continue }
            let bounds = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard bounds.count == 2, bounds[0] < bounds[1] else { continue }
            switch fields[1] {
            case "r--p": constants.append(bounds[0]..<bounds[1])
            case "r-xp": return constants + [bounds[0]..<bounds[1]]
            default: return []
            }
        }
        return []
    }
}
