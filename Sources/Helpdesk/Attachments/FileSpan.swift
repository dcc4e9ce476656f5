/// What of a file a `Range` header asks for (RFC 9110, section 14).
enum FileSpan: Sendable, Equatable {
    /// All of it, as where nothing is asked for: what can't be read, other units, and several parts at once, which may be
    /// answered so.
    case whole
    case part(Range<Int>)
    /// A part of which the file has nothing.
    case beyond

    init(_ header: String?, of size: Int) {
        guard let header, header.prefix(6).lowercased() == "bytes=" else {
            self = .whole
            return
        }
        let ends = header.dropFirst(6).split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        if ends.count == 2, ends[0].isEmpty, let count = Self.number(ends[1]) {
            // Of an empty file the last bytes are all of it, which no `Content-Range` can tell.
            self = count == 0 ? .beyond : size == 0 ? .whole : .part(max(0, size - count)..<size)
        } else if ends.count == 2, let first = Self.number(ends[0]),
            let last = ends[1].isEmpty ? .max : Self.number(ends[1]), first <= last
        {
            self = first < size ? .part(first..<min(last, size - 1) + 1) : .beyond
        } else {
            self = .whole
        }
    }

    /// A number of any length; what is larger than every file is as good as the largest.
    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text) ?? .max
    }
}
