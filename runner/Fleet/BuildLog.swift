/// What a build wrote, as far as whoever waits for it wants to read it.
struct BuildLog: Sendable {
    private let text: String
    private let root: String

    init(_ text: String, root: String) {
        self.text = text
        self.root = root
    }

    /// The first errors with their places, relative to the root; where no line is one, the last lines.
    func errors(limit: Int = 5) -> [String] {
        var found: [String] = []
        for line in text.split(whereSeparator: \.isNewline) {
            guard line.contains(": error: ") || line.hasPrefix("error: ") else { continue }
            let error = String(line).replacing("\(root)/", with: "")
            if !found.contains(error) { found.append(error) }
        }
        // SwiftPM's own words about an error that the compiler has named.
        let named = found.filter { !$0.hasPrefix("error: ") && !$0.hasPrefix("<unknown>:0:") }
        if !named.isEmpty { found = named }
        guard !found.isEmpty else {
            return text.split(whereSeparator: \.isNewline).suffix(limit).map(String.init)
        }
        let rest = found.count - limit
        return rest > 0 ? found.prefix(limit) + ["… and \(rest) more error\(rest == 1 ? "" : "s")"] : found
    }
}
